/* conv.h's rows by AMX: pixels are the left operand's rows, four tiles of them at a time. The last tile of a row reads up to
 * eight pixels past its end, whatever is there, and leaves their results out: behind each row is more of the workspace. */
#ifndef VSAPISR_AMX_CONV_H
#define VSAPISR_AMX_CONV_H

#include "amx.h"

#define BLOCK 4 /* tiles of pixels */

/* Sums of `tiles` * 16 pixels to 16 channels, (pixels, 16): bias, and over all taps. weight (taps, depth, columns) in units. */
INLINE void pixel_tiles(int tiles, const float *const *taps, int count, int depth, const float *weight, int columns,
                        const float *bias, int x, float *sums) {
    LOAD(0, bias, 0);
    if (tiles > 1)
        LOAD(1, bias, 0);
    if (tiles > 2)
        LOAD(2, bias, 0);
    if (tiles > 3)
        LOAD(3, bias, 0);
    for (int tap = 0; tap < count; tap++)
        for (int k = 0; k < depth; k += SIDE) {
            const float *pixels = taps[tap] + x * depth + k;
            LOAD(RIGHT, weight + (tap * depth + k) * columns, columns);
            LOAD(LEFT, pixels, depth);
            MULTIPLY(0, LEFT, RIGHT);
            if (tiles > 1) {
                LOAD(LEFT, pixels + SIDE * depth, depth);
                MULTIPLY(1, LEFT, RIGHT);
            }
            if (tiles > 2) {
                LOAD(LEFT, pixels + 2 * SIDE * depth, depth);
                MULTIPLY(2, LEFT, RIGHT);
            }
            if (tiles > 3) {
                LOAD(LEFT, pixels + 3 * SIDE * depth, depth);
                MULTIPLY(3, LEFT, RIGHT);
            }
        }
    STORE(0, sums, SIDE);
    if (tiles > 1)
        STORE(1, sums + SUMS, SIDE);
    if (tiles > 2)
        STORE(2, sums + 2 * SUMS, SIDE);
    if (tiles > 3)
        STORE(3, sums + 3 * SUMS, SIDE);
}

/* The same for what is left of a row, at most BLOCK tiles; returns how many pixels of them there are. */
static int block_of_pixels(const float *const *taps, int count, int depth, const float *weight, int columns,
                           const float *bias, int x, int width, float *sums) {
    const int left = width - x;
    if (left > 3 * SIDE)
        pixel_tiles(4, taps, count, depth, weight, columns, bias, x, sums);
    else if (left > 2 * SIDE)
        pixel_tiles(3, taps, count, depth, weight, columns, bias, x, sums);
    else if (left > SIDE)
        pixel_tiles(2, taps, count, depth, weight, columns, bias, x, sums);
    else
        pixel_tiles(1, taps, count, depth, weight, columns, bias, x, sums);
    return left < BLOCK * SIDE ? left : BLOCK * SIDE;
}

static void conv_row(const float *const *taps, int count, int depth, const float *weight, const float *bias, int width,
                     const Sink *sink) {
    _Alignas(64) float sums[BLOCK * SUMS];
    STORED_BEFORE;
    for (int x = 0; x < width; x += BLOCK * SIDE) {
        for (int channel = 0; channel < CHANNELS; channel += SIDE) {
            const float *w = weight + channel / 32 * (32 * count * depth) + channel % 32;
            const int pixels = block_of_pixels(taps, count, depth, w, 32, bias + channel, x, width, sums);
            for (int i = 0; i < pixels; i++) {
                float *out = sink->row + (x + i) * sink->step;
                vec sum = load(sums + i * SIDE);
                if (sink->floats)
                    store(out + channel, sum);
                else
                    store_half(out + channel / 2, leaky(sum, sink->slope));
            }
        }
    }
}

/* weight (9, 64 in units, 16), of which the first 3 columns are used; bias of 16, too */
static void last_row(const float *const rows[3], const float *weight, const float *bias, int width,
                     float *const out[3]) {
    _Alignas(64) float sums[BLOCK * SUMS];
    const __m512i pixels = _mm512_slli_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), 4);
    const float *taps[9];
    taps_3x3(rows, PIXEL, taps);
    STORED_BEFORE;
    for (int x = 0; x < width; x += BLOCK * SIDE) {
        const int count = block_of_pixels(taps, 9, PIXEL, weight, SIDE, bias, x, width, sums);
        for (int i = 0; i < count; i += LANES) /* width is a multiple of 32 */
            for (int c = 0; c < 3; c++)
                store(out[c] + x + i, _mm512_i32gather_ps(pixels, sums + i * SIDE + c, 4));
    }
}

#endif
