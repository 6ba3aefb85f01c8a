/* What the library exports, and what each of its parts, compiled for another instruction set, gives. */
#ifndef VSAPISR_NATIVE_H
#define VSAPISR_NATIVE_H

#include "network.h"
#include "processor.h"

#include <stddef.h>

size_t vsapisr_workspace_avx2(long height, long width, long threads);
size_t vsapisr_workspace_avx512(long height, long width, long threads);
size_t vsapisr_workspace_avx512_bf16(long height, long width, long threads);
size_t vsapisr_workspace_amx(long height, long width, long threads);
void vsapisr_run_avx2(const Network *network, const Image *image);
void vsapisr_run_avx512(const Network *network, const Image *image);
void vsapisr_run_avx512_bf16(const Network *network, const Image *image);
void vsapisr_run_amx(const Network *network, const Image *image);

#endif
