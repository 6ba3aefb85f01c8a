/* The network on the CPU as one call; which processors it can be used on is decided here. On any other than x86-64, and with
 * compilers that do not know GNU C, the library is empty and says so. */
#include "native.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum { NOTHING, AVX2, AVX512, AVX512_BF16 };

/* The best that this processor (and its system) can do, as one of the numbers above. */
EXPORT int vsapisr_level(void) {
#ifdef VSAPISR_KERNELS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return NOTHING;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512dq"))
        return AVX2;
    return __builtin_cpu_supports("avx512bf16") ? AVX512_BF16 : AVX512;
#else
    return NOTHING;
#endif
}

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
