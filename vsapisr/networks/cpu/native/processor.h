/* Which of the instruction sets that the libraries are compiled for this processor has. On any other than x86-64, and with
 * compilers that do not know GNU C, there are none, and the libraries are empty and say so. Nor with GCC for Windows, which
 * does not align the stack for vectors of 32 bytes. */
#ifndef VSAPISR_PROCESSOR_H
#define VSAPISR_PROCESSOR_H

#if defined(__x86_64__) && defined(__GNUC__) && (!defined(_WIN32) || defined(__clang__))
#include <cpuid.h>
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

#ifdef VSAPISR_KERNELS
/* Which registers the system saves. */
static inline unsigned processor_saved(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

/* The best that this processor (and its system) can do, as one of the numbers above; AMX is for whoever
 * needs it to look for. By cpuid itself: __builtin_cpu_supports needs a part of the compiler's runtime library that not
 * every one has. */
static inline int processor_level(void) {
#ifdef VSAPISR_KERNELS
    enum { FMA = 1 << 12, SAVES = 1 << 27 };                                            /* of leaf 1 */
    enum { HAS_AVX2 = 1 << 5, F = 1 << 16, DQ = 1 << 17, BW = 1 << 30, BF16 = 1 << 5 }; /* of leaf 7 */
    const unsigned vl = 1u << 31, wide = F | DQ | BW | vl, registers = 0x6, wide_registers = 0xE6;
    unsigned most, a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & FMA) || !(c & SAVES))
        return NOTHING;
    const unsigned saved = processor_saved();
    if ((saved & registers) != registers || !__get_cpuid_count(7, 0, &most, &b, &c, &d) || !(b & HAS_AVX2))
        return NOTHING;
    if ((saved & wide_registers) != wide_registers || (b & wide) != wide)
        return AVX2;
    return most >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & BF16 ? AVX512_BF16 : AVX512;
#else
    return NOTHING;
#endif
}

#endif
