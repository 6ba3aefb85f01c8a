/* VapourSynth plugin "apisr": carries arguments, frames and errors between VapourSynth and vsapisr.bridge.node.
 *
 * What the filter does is decided in Python. vsapisr.bridge.node.create(clip, arguments) gets two dicts and returns a node:
 *   width, height, color_family, sample_type, bits_per_sample, subsampling_w, subsampling_h   the output
 *   properties           names of the frame properties that render wants to see
 *   needs                None, or needs(n) -> frame numbers of the source that frame n is made from (n is always added)
 *   window               how many source frames VapourSynth is to keep beside one a thread, 0: it decides alone
 *   render(n, frames, target) -> dict of frame properties to set (int, float, bytes, str) or to delete (None)
 *       frames = {m: ([(memoryview, stride in bytes) per plane], {property: int | float | bytes})}, read-only
 *       target = [(writable memoryview, stride in bytes) per plane]; nothing may refer to a view after render returned
 *   close()              called once, when the filter is freed or when the interpreter exits
 * Several threads call render at once. The GIL is held only while Python runs. */
#include "nodes.h"
#include "source.h"
#include "values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef VSAPISR_VERSION
#define VSAPISR_VERSION "unknown"
#endif

/* The one place that lists the arguments; they reach Python by name. A name declared with [] arrives as a list. */
#define UPSCALE_ARGUMENTS \
    "clip:vnode;model:data:opt;scale:int:opt;format:int:opt;tilesize:int[]:opt;overlap:int:opt;" \
    "reuse:int:opt;threshold:float:opt;interval:int:opt;cache:int:opt;guard:int:opt;" \
    "device:data:opt;precision:data:opt;batch:int:opt;num_streams:int:opt;"

typedef struct Filter {
    VSNode *source;    /* owned */
    VSVideoInfo video; /* of the output */
    char **wanted;     /* owned: names of properties for render, NULL at the end */
    int has_needs;
    int window;     /* source frames that must stay in the core's cache, 0: its own choice */
    PyObject *node; /* borrowed from nodes.c: valid between python_enter and python_leave only */
} Filter;

/* The source frames that one output frame is made from; its own number is the first. */
typedef struct Request {
    int count;
    const int *numbers;
} Request;

static int read_output(Filter *filter, PyObject *node, VSCore *core, const VSAPI *vsapi) {
    int family, sample, bits, sub_w, sub_h, *width = &filter->video.width, *height = &filter->video.height;
    if (!get_int(node, "width", width) || !get_int(node, "height", height) || !get_int(node, "color_family", &family) ||
        !get_int(node, "sample_type", &sample) || !get_int(node, "bits_per_sample", &bits) ||
        !get_int(node, "subsampling_w", &sub_w) || !get_int(node, "subsampling_h", &sub_h))
        return 0;
    if (family <= 0 || !vsapi->queryVideoFormat(&filter->video.format, family, sample, bits, sub_w, sub_h, core) ||
        *width <= 0 || *height <= 0 || *width % (1 << sub_w) || *height % (1 << sub_h)) {
        python.PyErr_Format(*python.PyExc_RuntimeError, "no such output: %dx%d, format (%d, %d, %d, %d, %d)", *width,
                            *height, family, sample, bits, sub_w, sub_h);
        return 0;
    }
    return 1;
}

static int read_wanted(Filter *filter, PyObject *node) {
    PyObject *needs = python.PyObject_GetAttrString(node, "needs");
    PyObject *names = needs ? python.PyObject_GetAttrString(node, "properties") : NULL;
    Py_ssize_t count = names ? python.PySequence_Size(names) : -1;
    filter->has_needs = needs && !is_none(needs);
    int known = get_int(node, "window", &filter->window);
    filter->wanted = count >= 0 ? calloc((size_t)count + 1, sizeof *filter->wanted) : NULL;
    int done = known && filter->wanted != NULL;
    for (Py_ssize_t i = 0; done && i < count; i++) {
        PyObject *name = python.PySequence_GetItem(names, i);
        PyObject *bytes = name ? python.PyUnicode_AsEncodedString(name, "utf-8", "strict") : NULL;
        const char *characters = bytes ? python.PyBytes_AsString(bytes) : NULL;
        size_t size = characters ? strlen(characters) + 1 : 0;
        done = characters && (filter->wanted[i] = malloc(size));
        if (done)
            memcpy(filter->wanted[i], characters, size);
        drop(bytes);
        drop(name);
    }
    drop(names);
    drop(needs);
    return done;
}

/* Calls vsapisr.bridge.node.create and reads the answer into filter; 0 with `error` written. GIL held. */
static int open_node(Filter *filter, const VSMap *in, VSCore *core, const VSAPI *vsapi, char *error) {
    PyObject *module = python.PyImport_ImportModule("vsapisr.bridge.node");
    if (!module) {
        take_error("cannot import vsapisr.bridge.node", error, ERROR_SIZE);
        return 0;
    }
    PyObject *clip = clip_dict(vsapi->getVideoInfo(filter->source), core, vsapi);
    PyObject *arguments = clip ? argument_dict(in, UPSCALE_ARGUMENTS, vsapi) : NULL;
    PyObject *node = arguments ? python.PyObject_CallMethod(module, "create", "OO", clip, arguments) : NULL;
    int done = node && read_output(filter, node, core, vsapi) && read_wanted(filter, node) && make_loan_type() &&
               nodes_install_hook() && nodes_keep(filter, node);
    filter->node = node;
    if (!done) {
        take_error("internal error", error, ERROR_SIZE);
        if (node)
            nodes_close(node);
    }
    drop(node);
    drop(arguments);
    drop(clip);
    drop(module);
    return done;
}

static void discard(Filter *filter, const VSAPI *vsapi) {
    for (char **name = filter->wanted; name && *name; name++)
        free(*name);
    free(filter->wanted);
    vsapi->freeNode(filter->source);
    free(filter);
}

static void VS_CC upscale_free(void *data, VSCore *core, const VSAPI *vsapi) {
    Filter *filter = data;
    PyGILState_STATE state;
    (void)core;
    if (!python_enter(&state)) { /* otherwise the exit hook has closed and dropped the node */
        nodes_close(filter->node);
        nodes_drop(filter);
        python_leave(state);
    }
    discard(filter, vsapi);
}

static PyObject *frame_dict(const Filter *filter, const Request *request, const VSFrame **sources, PyObject *loans,
                            const VSAPI *vsapi) {
    PyObject *frames = python.PyDict_New();
    int done = frames != NULL;
    for (int i = 0; done && i < request->count; i++) {
        PyObject *planes = plane_list(sources[i], NULL, loans, vsapi);
        PyObject *properties = planes ? property_dict(sources[i], filter->wanted, vsapi) : NULL;
        PyObject *pair = properties ? python.Py_BuildValue("OO", planes, properties) : NULL;
        PyObject *key = pair ? python.PyLong_FromLongLong(request->numbers[i]) : NULL;
        done = key && !python.PyDict_SetItem(frames, key, pair);
        drop(key);
        drop(pair);
        drop(properties);
        drop(planes);
    }
    if (done)
        return frames;
    drop(frames);
    return NULL;
}

/* Fills target from sources; 0 with `error` written. GIL held. */
static int render(Filter *filter, const Request *request, const VSFrame **sources, VSFrame *target, char *error,
                  const VSAPI *vsapi) {
    PyObject *loans = python.PyList_New(0), *planes = NULL, *result = NULL;
    PyObject *frames = loans ? frame_dict(filter, request, sources, loans, vsapi) : NULL;
    if (frames && (planes = plane_list(NULL, target, loans, vsapi)))
        result = python.PyObject_CallMethod(filter->node, "render", "iOO", request->numbers[0], frames, planes);
    int done = result && set_properties(target, result, vsapi);
    if (!done) /* first of all: the exception's traceback holds the views */
        take_error("internal error", error, ERROR_SIZE);
    drop(result);
    drop(planes);
    drop(frames);
    if (loans && !end_loans(loans) && done) {
        snprintf(error, ERROR_SIZE, "Upscale: internal error: plane memory is still referenced");
        done = 0;
    }
    drop(loans);
    return done;
}

/* {count, n, other source frames that frame n is made from}, to be freed; NULL with `error` written. */
static int *ask_needs(Filter *filter, int n, char *error) {
    PyGILState_STATE state;
    const char *refusal = python_enter(&state);
    if (refusal) {
        snprintf(error, ERROR_SIZE, "%s", refusal);
        return NULL;
    }
    PyObject *numbers = python.PyObject_CallMethod(filter->node, "needs", "i", n);
    Py_ssize_t count = numbers ? python.PySequence_Size(numbers) : -1;
    int *request = count >= 0 ? malloc(sizeof *request * ((size_t)count + 2)) : NULL;
    int done = request != NULL, used = 2;
    if (done)
        request[1] = n;
    for (Py_ssize_t i = 0; done && i < count; i++) {
        PyObject *item = python.PySequence_GetItem(numbers, i);
        long long number = item ? python.PyLong_AsLongLong(item) : -1;
        drop(item);
        if (!python.PyErr_Occurred() && (number < 0 || number >= filter->video.numFrames))
            python.PyErr_Format(*python.PyExc_RuntimeError, "frame %lld does not exist", number);
        done = !python.PyErr_Occurred();
        if (done && number != n)
            request[used++] = (int)number;
    }
    if (done) {
        request[0] = used - 1;
    } else {
        take_error("internal error", error, ERROR_SIZE);
        free(request);
        request = NULL;
    }
    drop(numbers);
    python_leave(state);
    return request;
}

/* All source frames are there: makes frame n, or sets one error and returns NULL. */
static const VSFrame *make_frame(Filter *filter, const Request *request, VSFrameContext *context, VSCore *core,
                                 const VSAPI *vsapi) {
    char error[ERROR_SIZE];
    const VSFrame **sources = calloc((size_t)request->count, sizeof *sources);
    for (int i = 0; sources && i < request->count; i++)
        sources[i] = vsapi->getFrameFilter(request->numbers[i], filter->source, context);
    const VSVideoInfo *video = &filter->video;
    VSFrame *target = NULL;
    int done = 0;
    if (sources) {
        target = vsapi->newVideoFrame(&video->format, video->width, video->height, sources[0], core);
        PyGILState_STATE state;
        const char *refusal = python_enter(&state);
        if (refusal) {
            snprintf(error, sizeof error, "%s", refusal);
        } else {
            done = render(filter, request, sources, target, error, vsapi);
            python_leave(state);
        }
    } else {
        snprintf(error, sizeof error, "Upscale: out of memory");
    }
    for (int i = 0; sources && i < request->count; i++)
        vsapi->freeFrame(sources[i]);
    free(sources);
    if (done)
        return target;
    vsapi->freeFrame(target);
    vsapi->setFilterError(error, context);
    return NULL;
}

static const VSFrame *VS_CC upscale_get_frame(int n, int reason, void *data, void **frame_data, VSFrameContext *context,
                                              VSCore *core, const VSAPI *vsapi) {
    Filter *filter = data;
    if (reason == arInitial && !filter->has_needs) {
        vsapi->requestFrameFilter(n, filter->source, context);
        return NULL;
    }
    if (reason == arInitial) {
        char error[ERROR_SIZE];
        int *request = *frame_data = ask_needs(filter, n, error);
        if (!request)
            vsapi->setFilterError(error, context);
        for (int i = 1; request && i <= request[0]; i++)
            vsapi->requestFrameFilter(request[i], filter->source, context);
        return NULL;
    }
    int *asked = *frame_data;
    Request request = asked ? (Request){asked[0], asked + 1} : (Request){1, &n};
    const VSFrame *frame = NULL;
    if (reason == arAllFramesReady)
        frame = make_frame(filter, &request, context, core, vsapi);
    free(asked); /* also on arError, where the source's own error passes through */
    *frame_data = NULL;
    return frame;
}

static void VS_CC upscale_create(const VSMap *in, VSMap *out, void *user, VSCore *core, const VSAPI *vsapi) {
    char error[ERROR_SIZE] = "Upscale: out of memory";
    Filter *filter = calloc(1, sizeof *filter);
    PyGILState_STATE state;
    (void)user;
    int done = 0;
    if (filter) {
        filter->source = vsapi->mapGetNode(in, "clip", 0, NULL);
        filter->video = *vsapi->getVideoInfo(filter->source);
        const char *refusal = python_enter(&state);
        if (refusal) {
            snprintf(error, sizeof error, "%s", refusal);
        } else {
            done = open_node(filter, in, core, vsapi, error);
            python_leave(state);
        }
    }
    if (done) {
        if (filter->window)
            filter->source = source_kept(filter->source, filter->window, core, vsapi);
        VSFilterDependency dependency = {filter->source, filter->has_needs ? rpGeneral : rpStrictSpatial};
        vsapi->createVideoFilter(out, "Upscale", &filter->video, upscale_get_frame, upscale_free, fmParallel,
                                 &dependency, 1, filter, core);
        return;
    }
    if (filter)
        discard(filter, vsapi);
    vsapi->mapSetError(out, error);
}

/* Sets key to str(module.name), called with `argument` unless that is NULL; nothing if that fails. GIL held. */
static void set_fact(VSMap *out, const char *key, const char *module_name, const char *name, const char *argument,
                     const VSAPI *vsapi) {
    PyObject *module = python.PyImport_ImportModule(module_name);
    PyObject *value = !module    ? NULL
                      : argument ? python.PyObject_CallMethod(module, name, *argument ? "s" : NULL, argument)
                                 : python.PyObject_GetAttrString(module, name);
    char text[ERROR_SIZE];
    if (value) {
        text_of(value, text, sizeof text);
        vsapi->mapSetData(out, key, text, -1, dtUtf8, maReplace);
    }
    drop(value);
    drop(module);
    python.PyErr_Clear();
}

/* version and bridge differ when an old plugin is left in the folder. Asks for torch's version without importing it. */
static void VS_CC version_create(const VSMap *in, VSMap *out, void *user, VSCore *core, const VSAPI *vsapi) {
    PyGILState_STATE state;
    (void)in, (void)user, (void)core;
    vsapi->mapSetData(out, "version", VSAPISR_VERSION, -1, dtUtf8, maReplace);
    vsapi->mapSetData(out, "bridge", VSAPISR_VERSION, -1, dtUtf8, maReplace);
    if (python_enter(&state))
        return;
    set_fact(out, "version", "vsapisr", "__version__", NULL, vsapi);
    set_fact(out, "python", "platform", "python_version", "", vsapi);
    set_fact(out, "torch", "importlib.metadata", "version", "torch", vsapi);
    python_leave(state);
}

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi) {
    int major = 0, minor = 0;
    sscanf(VSAPISR_VERSION, "%d.%d", &major, &minor);
    vspapi->configPlugin("io.github.vsapisr", "apisr", "APISR anime upscaling (arguments: vsapisr.help())",
                         VS_MAKE_VERSION(major, minor), VAPOURSYNTH_API_VERSION, 0, plugin);
    vspapi->registerFunction("Upscale", UPSCALE_ARGUMENTS, "clip:vnode;", upscale_create, NULL, plugin);
    vspapi->registerFunction("Version", "", "version:data;bridge:data;python:data:opt;torch:data:opt;", version_create,
                             NULL, plugin);
}
