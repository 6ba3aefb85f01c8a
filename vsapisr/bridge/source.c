#include "source.h"

/* Hands on the source's frames: a node of our own, so that what is asked of its cache concerns no other user of the clip. */
static const VSFrame *VS_CC source_get_frame(int n, int reason, void *data, void **frame_data, VSFrameContext *context,
                                             VSCore *core, const VSAPI *vsapi) {
    (void)frame_data, (void)core;
    if (reason == arInitial)
        vsapi->requestFrameFilter(n, data, context);
    return reason == arAllFramesReady ? vsapi->getFrameFilter(n, data, context) : NULL;
}

static void VS_CC source_free(void *data, VSCore *core, const VSAPI *vsapi) {
    (void)core;
    vsapi->freeNode(data);
}

VSNode *source_kept(VSNode *source, int window, VSCore *core, const VSAPI *vsapi) {
    VSCoreInfo info;
    VSFilterDependency dependency = {source, rpStrictSpatial};
    VSNode *own = vsapi->createVideoFilter2("UpscaleSource", vsapi->getVideoInfo(source), source_get_frame, source_free,
                                            fmParallel, &dependency, 1, source, core);
    if (!own)
        return source;
    vsapi->getCoreInfo(core, &info);
    vsapi->setCacheMode(own, cmForceEnable);
    vsapi->setCacheOptions(own, 1, window + info.numThreads, -1);
    return own;
}
