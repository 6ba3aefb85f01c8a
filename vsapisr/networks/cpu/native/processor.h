/* Which of the instruction sets that the libraries are compiled for this processor has. On any other than x86-64, and with
 * compilers that do not know GNU C, there are none, and the libraries are empty and say so. */
#ifndef VSAPISR_PROCESSOR_H
#define VSAPISR_PROCESSOR_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(_WIN32)
#define VSAPISR_KERNELS 1
#endif

/* AMX: only where the compiler knows it, and under Linux, which has to be asked for its registers. */
#if defined(VSAPISR_KERNELS) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxbf16intrin.h>) || (defined(__clang__) && __clang_major__ >= 12 && __has_include(<amxintrin.h>))
#define VSAPISR_AMX_KERNELS 1
#endif
#endif

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum { NOTHING, AVX2, AVX512, AVX512_BF16, AMX };

/* The best that this processor (and its system) can do, as one of the numbers above; AMX is for whoever
 * needs it to look for. */
static inline int processor_level(void) {
#ifdef VSAPISR_KERNELS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return NOTHING;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return AVX2;
    return __builtin_cpu_supports("avx512bf16") ? AVX512_BF16 : AVX512;
#else
    return NOTHING;
#endif
}

#endif
