/* One vector type for three instruction sets, chosen by the file that includes this: VSAPISR_AVX2, VSAPISR_AVX512,
 * VSAPISR_AVX512_BF16, the last with or without VSAPISR_AMX. Only static functions: a name shared between files compiled for
 * different processors would let the linker give one processor the other's code.
 *
 * A "unit" is 32 bits of a matrix product's operand: one float, or a pair of bfloat16 values that are neighbours along
 * the product's depth. UNITS(n) is how many of them n values take. */
#ifndef VSAPISR_VECTOR_H
#define VSAPISR_VECTOR_H

#if defined(VSAPISR_AVX2)
#define VSAPISR_TARGET "avx2,fma"
#elif defined(VSAPISR_AVX512)
#define VSAPISR_TARGET "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq"
#elif defined(VSAPISR_AMX)
#define VSAPISR_TARGET "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16"
#else
#define VSAPISR_TARGET "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"
#endif

#if defined(__clang__)
#include <immintrin.h>
#define DO_PRAGMA(x) _Pragma(#x)
#define TARGET_BEGIN(t) DO_PRAGMA(clang attribute push(__attribute__((target(t))), apply_to = function))
TARGET_BEGIN(VSAPISR_TARGET)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define DO_PRAGMA(x) _Pragma(#x)
#define TARGET_BEGIN(t) DO_PRAGMA(GCC target(t))
TARGET_BEGIN(VSAPISR_TARGET)
#include <immintrin.h>
#define UNROLL _Pragma("GCC unroll 32")
#endif

#include <stddef.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(VSAPISR_AVX2)
#define LANES 8
typedef __m256 vec;
INLINE vec load(const float *p) {
    return _mm256_loadu_ps(p);
}
INLINE void store(float *p, vec x) {
    _mm256_storeu_ps(p, x);
}
INLINE vec splat(float x) {
    return _mm256_set1_ps(x);
}
INLINE vec vfma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vec vmax(vec a, vec b) {
    return _mm256_max_ps(a, b);
}
INLINE vec vmin(vec a, vec b) {
    return _mm256_min_ps(a, b);
}
INLINE vec vsqrt(vec a) {
    return _mm256_sqrt_ps(a);
}
INLINE vec nearest(vec a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vec times_power_of_2(vec a, vec n) { /* n whole, the result no denormal */
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
}
INLINE float sum(vec a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
#else
#define LANES 16
typedef __m512 vec;
INLINE vec load(const float *p) {
    return _mm512_loadu_ps(p);
}
INLINE void store(float *p, vec x) {
    _mm512_storeu_ps(p, x);
}
INLINE vec splat(float x) {
    return _mm512_set1_ps(x);
}
INLINE vec vfma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vec vmax(vec a, vec b) {
    return _mm512_max_ps(a, b);
}
INLINE vec vmin(vec a, vec b) {
    return _mm512_min_ps(a, b);
}
INLINE vec vsqrt(vec a) {
    return _mm512_sqrt_ps(a);
}
INLINE vec nearest(vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vec times_power_of_2(vec a, vec n) {
    return _mm512_scalef_ps(a, n);
}
INLINE float sum(vec a) {
    return _mm512_reduce_add_ps(a);
}
#endif

#define ZERO splat(0.0f)

#if defined(VSAPISR_AVX512_BF16)
#define UNITS(n) ((n) / 2)
/* c + a0 * b0 + a1 * b1 of each lane's pair */
INLINE vec product(vec a, vec b, vec c) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
/* 32 values in order as bfloat16 */
INLINE void store_values(float *units, vec low, vec high) {
    store(units, (vec)_mm512_cvtne2ps_pbh(high, low));
}
/* 16 values in order as bfloat16 */
INLINE void store_half(float *units, vec x) {
    _mm256_storeu_si256((__m256i *)units, (__m256i)_mm512_cvtneps_pbh(x));
}
/* each lane's two values as its pair */
INLINE void store_pairs(float *units, vec first, vec second) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    store(units, (vec)_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first)));
}
#else
#define UNITS(n) (n)
INLINE vec product(vec a, vec b, vec c) {
    return vfma(a, b, c);
}
#endif

/* e**x, relative error 2e-7; x <= 80; below -87 what it is at -87 */
INLINE vec exponential(vec x) {
    x = vmax(x, splat(-87.0f));
    vec n = nearest(x * splat(1.44269504f));
    vec r = vfma(n, splat(-0.693359375f), x); /* ln 2 in two parts */
    r = vfma(n, splat(2.12194440e-4f), r);
    vec p = splat(1.0f / 720);
    p = vfma(p, r, splat(1.0f / 120));
    p = vfma(p, r, splat(1.0f / 24));
    p = vfma(p, r, splat(1.0f / 6));
    p = vfma(p, r, splat(0.5f));
    p = vfma(p, r, splat(1.0f));
    p = vfma(p, r, splat(1.0f));
    return times_power_of_2(p, n);
}

/* x / 2 * (1 + erf(x / sqrt 2)), absolute error 1e-5 at most, where |x| is 4.6; erf by a polynomial fitted with the least
 * largest error over |x| <= 5, in x**2 mapped to -1..1, and made to pass 1 at the end */
INLINE vec gelu(vec x) {
    static const float c[] = {0.28272780776f, -0.14059565961f, 0.10306990892f, -0.08081966639f,
                              0.06251721084f, -0.04695825651f, 0.03451224789f, -0.02124591172f,
                              0.00925566908f, -0.00657483377f, 0.00685638795f, -0.00274488819f};
    vec z = vmax(vmin(x, splat(5.0f)), splat(-5.0f));
    vec t = vfma(z * z, splat(2.0f / 25), splat(-1.0f));
    vec p = splat(c[11]);
    UNROLL for (int i = 10; i >= 0; i--) p = vfma(p, t, splat(c[i]));
    p = vmax(vmin(p * z, splat(1.0f)), splat(-1.0f));
    x = x * splat(0.5f);
    return vfma(x, p, x);
}

INLINE vec leaky(vec x, float slope) {
    return vmax(x, x * splat(slope));
} /* slope < 1 */

/* (4, 4) from rows source_row apart to rows target_row apart, transposed; adds where told */
INLINE void transpose4(const float *source, ptrdiff_t source_row, float *target, ptrdiff_t target_row, int add) {
    __m128 r[4];
    for (int i = 0; i < 4; i++)
        r[i] = _mm_loadu_ps(source + i * source_row);
    _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
    for (int i = 0; i < 4; i++) {
        float *to = target + i * target_row;
        _mm_storeu_ps(to, add ? _mm_add_ps(_mm_loadu_ps(to), r[i]) : r[i]);
    }
}

#endif
