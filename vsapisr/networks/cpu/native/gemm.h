/* Matrix products of small fixed shapes, the heart of everything here. */
#ifndef VSAPISR_GEMM_H
#define VSAPISR_GEMM_H

#include "vector.h"

#if LANES == 16
#define TILE_ROWS 8    /* of a product within a window, two vectors wide */
#define TILE_PIXELS 14 /* of a convolution, two vectors of output channels wide */
#else
#define TILE_ROWS 4
#define TILE_PIXELS 6
#endif
#define PACKED_ROWS 8 /* weights of a linear layer: (rows / 8, depth in units, 8) */

/* acc[rows][wide] += a[i * a_row + k * a_step] * b[k * b_step + j * LANES] over k < depth, all of it in units. rows and wide
 * must be constants where this is inlined, so that acc lives in registers. */
INLINE void tile(int rows, int wide, vec *acc, const float *a, ptrdiff_t a_row, ptrdiff_t a_step, const float *b,
                 ptrdiff_t b_step, int depth) {
    for (int k = 0; k < depth; k++) {
        vec right[4];
        UNROLL for (int j = 0; j < wide; j++) right[j] = load(b + k * b_step + j * LANES);
        UNROLL for (int i = 0; i < rows; i++) {
            vec left = splat(a[i * a_row + k * a_step]);
            UNROLL for (int j = 0; j < wide; j++) acc[i * wide + j] = product(left, right[j], acc[i * wide + j]);
        }
    }
}

/* Rows (rows, columns) of floats as the right operand of a product over the rows: itself, or pairs of rows in scratch. */
static const float *as_right(const float *x, int rows, int columns, float *scratch) {
#if defined(VSAPISR_AVX512_BF16)
    for (int row = 0; row < rows; row += 2)
        for (int i = 0; i < columns; i += LANES)
            store_pairs(scratch + row / 2 * columns + i, load(x + row * columns + i),
                        load(x + (row + 1) * columns + i));
    return scratch;
#else
    (void)rows, (void)columns, (void)scratch;
    return x;
#endif
}

/* (rows, columns) of floats as the left operand of a product over the columns: itself, or (rows, columns / 2) units. */
static const float *as_left(const float *x, int rows, int columns, float *scratch) {
#if defined(VSAPISR_AVX512_BF16)
    for (int i = 0; i < rows * columns; i += 32)
        store_values(scratch + i / 2, load(x + i), load(x + i + 16));
    return scratch;
#else
    (void)rows, (void)columns, (void)scratch;
    return x;
#endif
}

#if defined(VSAPISR_AMX)
#include "amx.h"
#else
static void products_begin(void) {
}

static void products_end(void) {
}

enum { PLAIN, WITH_GELU };

/* out (rows, columns) = weight (packed) x b (UNITS(depth), columns) + bias, float out; columns a multiple of
 * wide * LANES */
INLINE void linear_tiles(int wide, int rows, int depth, int columns, const float *weight, const float *bias,
                         const float *b, float *out, int then) {
    for (int row = 0; row < rows; row += TILE_ROWS) {
        const float *a = weight + row / PACKED_ROWS * PACKED_ROWS * UNITS(depth) + row % PACKED_ROWS;
        for (int column = 0; column < columns; column += wide * LANES) {
            vec acc[TILE_ROWS * 2];
            UNROLL for (int i = 0; i < TILE_ROWS; i++) UNROLL for (int j = 0; j < wide; j++) acc[i * wide + j] =
                splat(bias[row + i]);
            tile(TILE_ROWS, wide, acc, a, 1, PACKED_ROWS, b + column, columns, UNITS(depth));
            UNROLL for (int i = 0; i < TILE_ROWS; i++) UNROLL for (int j = 0; j < wide; j++) {
                vec x = acc[i * wide + j];
                store(out + (row + i) * columns + column + j * LANES, then == WITH_GELU ? gelu(x) : x);
            }
        }
    }
}

static void linear(int rows, int depth, const float *weight, const float *bias, const float *b, float *out) {
    linear_tiles(2, rows, depth, 64, weight, bias, b, out, PLAIN);
}

/* out (rows, 16) of b (UNITS(depth), 16) */
static void linear_anchors(int rows, int depth, const float *weight, const float *bias, const float *b, float *out) {
    linear_tiles(16 / LANES, rows, depth, 16, weight, bias, b, out, PLAIN);
}

/* GELU of the same, as the right operand of a product over the rows, in out or in operand. */
static const float *linear_gelu(int rows, int depth, const float *weight, const float *bias, const float *b, float *out,
                                float *operand) {
    linear_tiles(2, rows, depth, 64, weight, bias, b, out, WITH_GELU);
    return as_right(out, rows, 64, operand);
}
#endif

#endif
