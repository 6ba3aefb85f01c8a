/* What the library exports, and what each of its parts, compiled for another instruction set, gives. */
#ifndef VSAPISR_NATIVE_H
#define VSAPISR_NATIVE_H

#include "network.h"
#include "processor.h"

#include <stddef.h>

size_t vsapisr_workspace_avx2(ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads);
size_t vsapisr_workspace_avx512(ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads);
size_t vsapisr_workspace_avx512_bf16(ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads);
size_t vsapisr_workspace_amx(ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads);
void vsapisr_run_avx2(const Network *network, const Image *image);
void vsapisr_run_avx512(const Network *network, const Image *image);
void vsapisr_run_avx512_bf16(const Network *network, const Image *image);
void vsapisr_run_amx(const Network *network, const Image *image);

#endif
