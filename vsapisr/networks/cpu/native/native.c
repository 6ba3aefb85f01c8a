/* The network on the CPU as one call, in the instruction set asked for. */
#define _GNU_SOURCE /* syscall */
#include "native.h"

#ifdef VSAPISR_AMX_KERNELS
#include <sys/syscall.h>
#include <unistd.h>
#endif

#ifdef VSAPISR_KERNELS
static const struct {
    size_t (*workspace)(ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads);
    void (*run)(const Network *network, const Image *image);
} levels[] = {
    [AVX2] = {vsapisr_workspace_avx2, vsapisr_run_avx2},
    [AVX512] = {vsapisr_workspace_avx512, vsapisr_run_avx512},
    [AVX512_BF16] = {vsapisr_workspace_avx512_bf16, vsapisr_run_avx512_bf16},
#ifdef VSAPISR_AMX_KERNELS
    [AMX] = {vsapisr_workspace_amx, vsapisr_run_amx},
#endif
};
#endif

/* What a caller compares with its own idea of these structures: the number, then the sizes. */
EXPORT const ptrdiff_t *vsapisr_abi(void) {
    static const ptrdiff_t facts[] = {VSAPISR_ABI, sizeof(Block), sizeof(Network), sizeof(Image)};
    return facts;
}

/* The best that can be asked for, but AMX. */
EXPORT int vsapisr_level(void) {
    return processor_level();
}

/* The best that can be asked for in bfloat16, or a level that has none. Where the processor has AMX this asks the system for
 * its registers: for the whole process and for good, and from then on no thread can have a small stack for signals. So it is
 * for those who want bfloat16, and its answer may change. */
EXPORT int vsapisr_level_bf16(void) {
    const int level = processor_level();
#ifdef VSAPISR_AMX_KERNELS
    enum { TILE = 1 << 24, BF16 = 1 << 22 };              /* of cpuid */
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* of the kernel's x86 ABI */
    unsigned a, b, c, d;
    if (level == AVX512_BF16 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && d & TILE && d & BF16 &&
        !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA))
        return AMX;
#endif
    return level;
}

/* Bytes that an image needs beside its input and output; level one of those above, and not 0. AVX512_BF16 and AMX compute
 * in bfloat16 and take weights in it, the others in float. */
EXPORT size_t vsapisr_workspace(int level, ptrdiff_t height, ptrdiff_t width, ptrdiff_t threads) {
#ifdef VSAPISR_KERNELS
    return levels[level].workspace(height, width, threads);
#else
    (void)level, (void)height, (void)width, (void)threads;
    return 0;
#endif
}

EXPORT void vsapisr_upscale(int level, const Network *network, const Image *image) {
#ifdef VSAPISR_KERNELS
    levels[level].run(network, image);
#else
    (void)level, (void)network, (void)image;
#endif
}
