/* Convolutions of rows of pixels, channels innermost. */
#ifndef VSAPISR_CONV_H
#define VSAPISR_CONV_H

#include "gemm.h"

#define CHANNELS 64
#define PIXEL UNITS(CHANNELS) /* units from one pixel of an activation to the next */

/* Where the results of a row go: LeakyReLU and the precision of activations, or floats as they are. */
typedef struct Sink {
    float *row;
    ptrdiff_t step; /* from one result to the next, in units or floats */
    float slope;
    int floats;
} Sink;

/* The nine taps of a 3x3 convolution from three rows that begin one pixel left of the first. */
INLINE void taps_3x3(const float *const rows[3], int depth, const float *taps[9]) {
    for (int tap = 0; tap < 9; tap++)
        taps[tap] = rows[tap / 3] + tap % 3 * depth;
}

#define FIRST_PIXELS 4

INLINE void first_tile(int pixels, const float *const rows[3], const float *weight, const float *bias, int x,
                       float *out) {
    for (int channel = 0; channel < CHANNELS; channel += 2 * LANES) {
        vec acc[FIRST_PIXELS * 2];
        UNROLL for (int i = 0; i < 2 * pixels; i++) acc[i] = load(bias + channel + i % 2 * LANES);
        for (int tap = 0; tap < 9; tap++) {
            const float *in = rows[tap / 3] + (x + tap % 3) * 4, *w = weight + tap * 4 * CHANNELS + channel;
            for (int k = 0; k < 3; k++, w += CHANNELS) {
                vec low = load(w), high = load(w + LANES);
                UNROLL for (int i = 0; i < pixels; i++) {
                    vec left = splat(in[i * 4 + k]);
                    acc[2 * i] = vfma(left, low, acc[2 * i]), acc[2 * i + 1] = vfma(left, high, acc[2 * i + 1]);
                }
            }
        }
        UNROLL for (int i = 0; i < 2 * pixels; i++)
            store(out + (x + i / 2) * CHANNELS + channel + i % 2 * LANES, acc[i]);
    }
}

/* One row of the 3x3 convolution from the image, always in floats. width a multiple of 4; a pixel of the input has 4 floats,
 * the last without meaning; weight (9, 4, 64). */
static void first_row(const float *const rows[3], const float *weight, const float *bias, int width, float *out) {
    for (int x = 0; x < width; x += FIRST_PIXELS)
        first_tile(FIRST_PIXELS, rows, weight, bias, x, out);
}

#if defined(VSAPISR_AMX)
#include "amx_conv.h"
#else
INLINE void conv_tile(int pixels, const float *const *taps, int count, int depth, const float *weight,
                      const float *bias, int x, int channel, const Sink *sink) {
    vec acc[TILE_PIXELS * 2], low = load(bias + channel), high = load(bias + channel + LANES);
    UNROLL for (int i = 0; i < pixels; i++) acc[2 * i] = low, acc[2 * i + 1] = high;
    for (int tap = 0; tap < count; tap++)
        tile(pixels, 2, acc, taps[tap] + x * depth, depth, 1, weight + tap * depth * 32, 32, depth);
    UNROLL for (int i = 0; i < pixels; i++) {
        float *out = sink->row + (x + i) * sink->step;
        if (sink->floats) {
            store(out + channel, acc[2 * i]);
            store(out + channel + LANES, acc[2 * i + 1]);
        } else {
            low = leaky(acc[2 * i], sink->slope), high = leaky(acc[2 * i + 1], sink->slope);
#if defined(VSAPISR_AVX512_BF16)
            store_values(out + channel / 2, low, high);
#else
            store(out + channel, low);
            store(out + channel + LANES, high);
#endif
        }
    }
}

/* One row of `width` pixels of a convolution to 64 channels. taps: where each tap's input for the first pixel is; a pixel has
 * `depth` units. Every pixel's sum has the same order, however the row is cut. */
static void conv_row(const float *const *taps, int count, int depth, const float *weight, const float *bias, int width,
                     const Sink *sink) {
    for (int channel = 0; channel < CHANNELS; channel += 2 * LANES) {
        const float *w = weight + channel / 32 * (32 * count * depth) + channel % 32;
        int x = 0;
        for (; width - x >= TILE_PIXELS; x += TILE_PIXELS)
            conv_tile(TILE_PIXELS, taps, count, depth, w, bias, x, channel, sink);
#if TILE_PIXELS > 8
        if (width - x >= 8)
            conv_tile(8, taps, count, depth, w, bias, x, channel, sink), x += 8;
#endif
        if (width - x >= 4)
            conv_tile(4, taps, count, depth, w, bias, x, channel, sink), x += 4;
        if (width - x >= 2)
            conv_tile(2, taps, count, depth, w, bias, x, channel, sink), x += 2;
        if (width - x >= 1)
            conv_tile(1, taps, count, depth, w, bias, x, channel, sink);
    }
}

#define LAST_PIXELS 4

INLINE void last_tile(int pixels, const float *const rows[3], const float *weight, const float *bias, int x,
                      float *const out[3]) {
    vec acc[LAST_PIXELS * 3];
    UNROLL for (int i = 0; i < pixels * 3; i++) acc[i] = ZERO;
    for (int tap = 0; tap < 9; tap++) {
        const float *in = rows[tap / 3] + (x + tap % 3) * PIXEL, *w = weight + tap * PIXEL;
        for (int k = 0; k < PIXEL; k += LANES) {
            vec right[3];
            UNROLL for (int c = 0; c < 3; c++) right[c] = load(w + c * 9 * PIXEL + k);
            UNROLL for (int i = 0; i < pixels; i++) {
                vec left = load(in + i * PIXEL + k);
                UNROLL for (int c = 0; c < 3; c++) acc[i * 3 + c] = product(left, right[c], acc[i * 3 + c]);
            }
        }
    }
    UNROLL for (int i = 0; i < pixels; i++) UNROLL for (int c = 0; c < 3; c++) out[c][x + i] =
        sum(acc[i * 3 + c]) + bias[c];
}

/* One row of the 3x3 convolution to three planes. rows begin one pixel left of the first; weight (3, 9, 64 in units). */
static void last_row(const float *const rows[3], const float *weight, const float *bias, int width,
                     float *const out[3]) {
    int x = 0;
    for (; width - x >= LAST_PIXELS; x += LAST_PIXELS)
        last_tile(LAST_PIXELS, rows, weight, bias, x, out);
    for (; x < width; x++)
        last_tile(1, rows, weight, bias, x, out);
}
#endif

#endif
