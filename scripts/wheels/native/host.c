/* A host without Python: loads the plugin as VapourSynth does, calls its functions and prints what it says.
 * host LIBRARY */
#include "load.h"

#include <string.h>

#include "VapourSynth4.h"

enum { FUNCTIONS = 4 };

static VSPublicFunction functions[FUNCTIONS];
static char names[FUNCTIONS][32];
static int known, freed;

static int VS_CC config(const char *identifier, const char *space, const char *name, int version, int api, int flags,
                        VSPlugin *plugin) {
    (void)flags, (void)plugin;
    printf("plugin %s %s %d.%d api %d: %s\n", identifier, space, version >> 16, version & 0xFFFF, api >> 16, name);
    return 1;
}

static int VS_CC register_function(const char *name, const char *arguments, const char *result,
                                   VSPublicFunction function, void *data, VSPlugin *plugin) {
    (void)data, (void)plugin;
    printf("function %s(%s) -> %s\n", name, arguments, result);
    if (known < FUNCTIONS) {
        snprintf(names[known], sizeof *names, "%s", name);
        functions[known++] = function;
    }
    return 1;
}

static VSNode *VS_CC get_node(const VSMap *map, const char *key, int index, int *error) {
    (void)map, (void)key, (void)index, (void)error;
    return (VSNode *)functions; /* anything but NULL: it is only handed back */
}

static const VSVideoInfo *VS_CC get_video(VSNode *node) {
    static const VSVideoInfo video = {
        .format = {.colorFamily = cfGray, .bitsPerSample = 8, .bytesPerSample = 1, .numPlanes = 1},
        .width = 16,
        .height = 16,
        .numFrames = 1};
    (void)node;
    return &video;
}

static void VS_CC free_node(VSNode *node) {
    (void)node;
    freed++;
}

static void VS_CC set_error(VSMap *map, const char *message) {
    (void)map;
    printf("error %s\n", message);
}

static int VS_CC set_data(VSMap *map, const char *key, const char *data, int size, int type, int append) {
    (void)map, (void)size, (void)type, (void)append;
    printf("value %s=%s\n", key, data);
    return 0;
}

int main(int argc, char **argv) {
    void *library = argc > 1 ? open_library(argv, 1) : NULL;
    if (!library)
        return 1;
    VSInitPlugin begin;
    *(void **)&begin = look_up(library, "VapourSynthPluginInit2");
    if (!begin) {
        puts("no VapourSynthPluginInit2");
        return 1;
    }
    static VSPLUGINAPI plugin_api;
    static VSAPI api;
    plugin_api.configPlugin = config, plugin_api.registerFunction = register_function;
    api.mapGetNode = get_node, api.getVideoInfo = get_video, api.freeNode = free_node;
    api.mapSetError = set_error, api.mapSetData = set_data;
    begin((VSPlugin *)functions, &plugin_api);
    for (int i = 0; i < known; i++) {
        printf("call %s\n", names[i]);
        functions[i](NULL, NULL, NULL, NULL, &api);
    }
    printf("freed %d\n", freed);
    return 0;
}
