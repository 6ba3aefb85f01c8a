/* All steps for the instruction set that the including file has chosen. */
#include "../../../vsapisr/networks/cpu/native/vector.h"

#include <stdlib.h>

/* n floats rounded up to whole tiles, and one more: room for loads beyond the end */
enum { TILE = 64 };
INLINE long padded(long n) {
    return (n + TILE - 1) / TILE * TILE + TILE;
}

#if defined(VSAPISR_AVX2)
INLINE vec load_bytes(const uint8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
#else
INLINE vec load_bytes(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
#endif

/* n values from place ``at`` of the picture, bytes as 0..1 */
INLINE void read_values(float *to, const Picture *picture, long at, long n) {
    if (!picture->bytes) {
        memcpy(to, (const float *)picture->image + at, n * sizeof(float));
        return;
    }
    const uint8_t *from = (const uint8_t *)picture->image + at;
    long i = 0;
    for (; i + LANES <= n; i += LANES)
        store(to + i, load_bytes(from + i) * splat(1.0f / 255));
    for (; i < n; i++)
        to[i] = (float)from[i] * (1.0f / 255);
}

static void to_bytes(const float *restrict values, uint8_t *restrict bytes, long n) {
    for (long i = 0; i < n; i++) {
        float level = values[i] * 255.0f;
        level = level > 0 ? level : 0;
        level = (level < 255 ? level : 255) + 0x1.8p23f; /* whose last bit is worth 1: the sum is rounded to it */
        uint32_t bits;
        memcpy(&bits, &level, sizeof(bits));
        bytes[i] = (uint8_t)bits;
    }
}

#include "blur.h"
#include "noise.h"
#include "reduce.h"

const Steps STEPS = {blur_passes, blur_taps, add_noise, reduce, to_bytes};
