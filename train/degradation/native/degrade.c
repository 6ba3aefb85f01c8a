/* Which instruction set the processor has; on any other than x86-64, and with compilers that do not know GNU C, the library
 * is empty and says so. */
#include "degrade.h"

#include <stddef.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum { NOTHING, AVX2, AVX512 };

/* The best that this processor (and its system) can do, as one of the numbers above. */
EXPORT int vsapisr_degrade_level(void) {
#ifdef VSAPISR_KERNELS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return NOTHING;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512dq")
               ? AVX512
               : AVX2;
#else
    return NOTHING;
#endif
}

/* The functions for ``level``, at most vsapisr_degrade_level(); NULL for 0. */
EXPORT const Steps *vsapisr_degrade_steps(int level) {
#ifdef VSAPISR_KERNELS
    if (level == AVX512) return &vsapisr_steps_avx512;
    if (level == AVX2) return &vsapisr_steps_avx2;
#endif
    (void)level;
    return NULL;
}
