/* 3x3 convolutions of 64 channels, two rows of output of four rows of input. In floats by Winograd's F(2x2, 3x3): squares of
 * 2x2 pixels take 16 products of 64x64 instead of 36 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"). */
#ifndef VSAPISR_WINOGRAD_H
#define VSAPISR_WINOGRAD_H

#include "conv.h"

#if defined(VSAPISR_AVX512_BF16)
#define WINOGRAD_FLOATS 0

/* In bfloat16 the sums of inputs would be rounded: plain convolutions. */
static void two_rows(const float *const rows[4], const float *weight, const float *bias, int width, const Sink sinks[2],
                     float *room) {
    (void)room;
    for (int y = 0; y < 2; y++) {
        const float *taps[9];
        taps_3x3(rows + y, PIXEL, taps);
        conv_row(taps, 9, PIXEL, weight, bias, width, &sinks[y]);
    }
}
#else
#define PLACES 16 /* of a transformed square: rows x columns */
#define BLOCK_SQUARES TILE_PIXELS

/* Floats that two_rows needs to work in. */
#define WINOGRAD_FLOATS (PLACES * BLOCK_SQUARES * (CHANNELS + 2 * LANES))

/* The input's side: (PLACES, squares, 64) from rows that begin one pixel left of the first square. */
INLINE void into_places(int squares, const float *const rows[4], float *places) {
    for (int square = 0; square < squares; square++)
        for (int c = 0; c < CHANNELS; c += LANES) {
            const int from = square * 2 * CHANNELS + c;
            vec down[4][4]; /* place, pixel */
            UNROLL for (int x = 0; x < 4; x++) {
                vec in[4];
                UNROLL for (int y = 0; y < 4; y++) in[y] = load(rows[y] + from + x * CHANNELS);
                down[0][x] = in[0] - in[2], down[1][x] = in[1] + in[2], down[2][x] = in[2] - in[1],
                down[3][x] = in[1] - in[3];
            }
            UNROLL for (int y = 0; y < 4; y++) {
                float *to = places + (y * 4 * squares + square) * CHANNELS + c;
                store(to, down[y][0] - down[y][2]);
                store(to + squares * CHANNELS, down[y][1] + down[y][2]);
                store(to + 2 * squares * CHANNELS, down[y][2] - down[y][1]);
                store(to + 3 * squares * CHANNELS, down[y][1] - down[y][3]);
            }
        }
}

/* The output's side, for two vectors of channels: (PLACES, squares, 2 * LANES) to two rows. */
INLINE void from_places(int squares, const float *places, const float *bias, int x, int channel, const Sink sinks[2]) {
    const int step = squares * 2 * LANES;
    for (int square = 0; square < squares; square++)
        UNROLL for (int j = 0; j < 2 * LANES; j += LANES) {
            vec across[2][4]; /* row, place */
            vec offset = load(bias + channel + j);
            UNROLL for (int p = 0; p < 4; p++) {
                const float *from = places + p * step + square * 2 * LANES + j;
                vec first = load(from), second = load(from + 4 * step);
                vec third = load(from + 8 * step), last = load(from + 12 * step);
                across[0][p] = first + second + third, across[1][p] = second - third - last;
            }
            UNROLL for (int y = 0; y < 2; y++) {
                vec left = across[y][0] + across[y][1] + across[y][2] + offset;
                vec right = across[y][1] - across[y][2] - across[y][3] + offset;
                float *out = sinks[y].row + (x + 2 * square) * sinks[y].step + channel + j;
                store(out, sinks[y].floats ? left : leaky(left, sinks[y].slope));
                store(out + sinks[y].step, sinks[y].floats ? right : leaky(right, sinks[y].slope));
            }
        }
}

INLINE void winograd_squares(int squares, const float *const rows[4], const float *weight, const float *bias, int x,
                             const Sink sinks[2], float *room) {
    float *places = room, *products = room + PLACES * BLOCK_SQUARES * CHANNELS;
    const float *from[4];
    for (int y = 0; y < 4; y++)
        from[y] = rows[y] + x * CHANNELS;
    into_places(squares, from, places);
    for (int channel = 0; channel < CHANNELS; channel += 2 * LANES) {
        const float *w = weight + channel / 32 * (32 * PLACES * CHANNELS) + channel % 32;
        for (int place = 0; place < PLACES; place++) {
            vec acc[BLOCK_SQUARES * 2];
            UNROLL for (int i = 0; i < 2 * squares; i++) acc[i] = ZERO;
            tile(squares, 2, acc, places + place * squares * CHANNELS, CHANNELS, 1, w + place * CHANNELS * 32, 32,
                 CHANNELS);
            UNROLL for (int i = 0; i < 2 * squares; i++) store(products + (place * squares * 2 + i) * LANES, acc[i]);
        }
        from_places(squares, products, bias, x, channel, sinks);
    }
}

/* Two rows of `width` pixels, a multiple of 4. rows: four, that begin one pixel left of the first; weight (2, PLACES, 64, 32).
 * Every pixel's sum has the same order, however the rows are cut. */
static void two_rows(const float *const rows[4], const float *weight, const float *bias, int width, const Sink sinks[2],
                     float *room) {
    int x = 0;
    for (; width - x >= 2 * BLOCK_SQUARES; x += 2 * BLOCK_SQUARES)
        winograd_squares(BLOCK_SQUARES, rows, weight, bias, x, sinks, room);
#if BLOCK_SQUARES > 8
    if (width - x >= 16)
        winograd_squares(8, rows, weight, bias, x, sinks, room), x += 16;
#endif
    if (width - x >= 8)
        winograd_squares(4, rows, weight, bias, x, sinks, room), x += 8;
    if (width - x >= 4)
        winograd_squares(2, rows, weight, bias, x, sinks, room);
}
#endif

#endif
