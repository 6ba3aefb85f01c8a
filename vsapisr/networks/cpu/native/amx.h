/* Matrix products by AMX: a tile of 16 rows of the left operand times a tile of 16 columns of the right one at a time, in
 * bfloat16 with sums in float. Operands are as in vector.h, but that weights of linear layers are left operands in rows.
 *
 * Tiles have the same shapes everywhere, so that a thread sets them once: 0 to 3 sums, 4 and 5 left and 6 and 7 right operands,
 * of depth 32 and 16. The numbers in the instructions must be constants for the preprocessor. */
#ifndef VSAPISR_AMX_H
#define VSAPISR_AMX_H

#include "vector.h"

#define SIDE 16            /* of a tile of sums; also the units that a tile of an operand is deep */
#define SUMS (SIDE * SIDE) /* floats */
#define LEFT 4
#define SHALLOW_LEFT 5
#define RIGHT 6
#define SHALLOW_RIGHT 7

/* Before a thread's first product. */
static void products_begin(void) {
    static const struct {
        unsigned char palette, start_row, reserved[14];
        unsigned short row_bytes[16];
        unsigned char rows[16];
    } shapes = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 32, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 8}};
    _tile_loadconfig(&shapes);
}

/* After its last one: switching between threads costs less. */
static void products_end(void) {
    _tile_release();
}

/* What was stored before is in memory when the tiles are loaded: compilers do not see that these instructions read it. */
#define STORED_BEFORE __asm__ volatile("" ::: "memory")

/* Strides in floats. */
#define LOAD(number, from, stride) _tile_loadd(number, from, (stride) * (ptrdiff_t)sizeof(float))
#define STORE(number, to, stride) _tile_stored(number, to, (stride) * (ptrdiff_t)sizeof(float))
#define MULTIPLY(sums, left, right) _tile_dpbf16ps(sums, left, right)

/* Four tiles of sums of 16 rows; bias (16 rows, 16 times the same), weight (16 rows, UNITS(depth)), b (UNITS(depth), 64). */
INLINE void linear_rows(int depth, const float *weight, const float *bias, const float *b, float *out) {
    LOAD(0, bias, SIDE);
    LOAD(1, bias, SIDE);
    LOAD(2, bias, SIDE);
    LOAD(3, bias, SIDE);
    for (int k = 0; k < UNITS(depth); k += SIDE) {
        const float *right = b + k * 64;
        LOAD(LEFT, weight + k, UNITS(depth));
        LOAD(RIGHT, right, 64);
        MULTIPLY(0, LEFT, RIGHT);
        LOAD(RIGHT, right + SIDE, 64);
        MULTIPLY(1, LEFT, RIGHT);
        LOAD(RIGHT, right + 2 * SIDE, 64);
        MULTIPLY(2, LEFT, RIGHT);
        LOAD(RIGHT, right + 3 * SIDE, 64);
        MULTIPLY(3, LEFT, RIGHT);
    }
    STORE(0, out, 64);
    STORE(1, out + SIDE, 64);
    STORE(2, out + 2 * SIDE, 64);
    STORE(3, out + 3 * SIDE, 64);
}

/* out (rows, 64) = weight (rows, UNITS(depth)) x b (UNITS(depth), 64) + bias (rows, 16), float out */
static void linear(int rows, int depth, const float *weight, const float *bias, const float *b, float *out) {
    STORED_BEFORE;
    for (int row = 0; row < rows; row += SIDE)
        linear_rows(depth, weight + row * UNITS(depth), bias + row * SIDE, b, out + row * 64);
}

/* GELU of the same, as the right operand of a product over the rows. */
static const float *linear_gelu(int rows, int depth, const float *weight, const float *bias, const float *b, float *out,
                                float *operand) {
    _Alignas(64) float sums[SIDE * 64];
    (void)operand;
    STORED_BEFORE;
    for (int row = 0; row < rows; row += SIDE, out += SIDE / 2 * 64) {
        linear_rows(depth, weight + row * UNITS(depth), bias + row * SIDE, b, sums);
        for (int i = 0; i < SIDE * 64; i += 128)
            for (int j = 0; j < 64; j += LANES)
                store_pairs(out + i / 2 + j, gelu(load(sums + i + j)), gelu(load(sums + i + 64 + j)));
    }
    return out - rows / 2 * 64;
}

/* out (rows, 16) of b (UNITS(depth), 16) */
static void linear_anchors(int rows, int depth, const float *weight, const float *bias, const float *b, float *out) {
    STORED_BEFORE;
    for (int row = 0; row < rows; row += SIDE) {
        LOAD(0, bias + row * SIDE, SIDE);
        for (int k = 0; k < UNITS(depth); k += SIDE) {
            LOAD(LEFT, weight + row * UNITS(depth) + k, UNITS(depth));
            LOAD(RIGHT, b + k * SIDE, SIDE);
            MULTIPLY(0, LEFT, RIGHT);
        }
        STORE(0, out + row * SIDE, SIDE);
    }
}

#endif
