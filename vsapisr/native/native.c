/* The network on the CPU as one call, in the instruction set asked for. */
#include "native.h"

/* The best that can be asked for. */
EXPORT int vsapisr_level(void) { return processor_level(); }

/* Bytes that an image needs beside its input and output; level at most vsapisr_level(), and not 0. AVX512_BF16 computes in
 * bfloat16 and takes weights in it, the others in float. */
EXPORT size_t vsapisr_workspace(int level, long height, long width, long threads) {
#ifdef VSAPISR_KERNELS
    if (level == AVX512_BF16) return vsapisr_workspace_avx512_bf16(height, width, threads);
    return (level == AVX512 ? vsapisr_workspace_avx512 : vsapisr_workspace_avx2)(height, width, threads);
#else
    (void)level, (void)height, (void)width, (void)threads;
    return 0;
#endif
}

EXPORT void vsapisr_upscale(int level, const Network *network, const Image *image) {
#ifdef VSAPISR_KERNELS
    if (level == AVX512_BF16) vsapisr_run_avx512_bf16(network, image);
    else (level == AVX512 ? vsapisr_run_avx512 : vsapisr_run_avx2)(network, image);
#else
    (void)level, (void)network, (void)image;
#endif
}
