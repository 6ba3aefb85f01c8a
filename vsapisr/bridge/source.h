/* A node between the user's clip and the filter, whose cache is ours alone. */
#ifndef VSAPISR_BRIDGE_SOURCE_H
#define VSAPISR_BRIDGE_SOURCE_H

#include "VapourSynth4.h"

/* Takes `source` and returns a node with its frames that keeps `window` of them beside one a thread: left to itself the core
 * keeps about twenty, and with more asked for again and again each would be made many times. `source` itself if that
 * fails: everything works, slower. */
VSNode *source_kept(VSNode *source, int window, VSCore *core, const VSAPI *vsapi);

#endif
