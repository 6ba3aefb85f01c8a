/* attention.h's products by AMX. */
#ifndef VSAPISR_AMX_ATTENTION_H
#define VSAPISR_AMX_ATTENTION_H

#include "amx.h"

/* key (UNITS(16), keys) as the left operand of a product over the 16: (keys, UNITS(16)) */
static const float *as_keys(const float *key, int keys, float *scratch) {
    for (int t = 0; t < keys; t += 4)
        for (int i = 0; i < UNITS(HEAD); i += 4)
            transpose4(key + i * keys + t, keys, scratch + t * UNITS(HEAD) + i, UNITS(HEAD), 0);
    return scratch;
}

/* position + key x query for one strip of `wide` tiles of queries: (keys, wide * 16) and its columns' maximum. */
INLINE void strip_logits(int wide, int queries, int keys, const float *key, const float *query, const float *position,
                         float *logits, vec *maximum) {
    const int step = wide * SIDE;
    STORED_BEFORE;
    for (int s = 0; s < keys; s += SIDE) {
        LOAD(SHALLOW_LEFT, key + s * UNITS(HEAD), UNITS(HEAD));
        LOAD(0, position + s * queries, queries);
        LOAD(SHALLOW_RIGHT, query, queries);
        MULTIPLY(0, SHALLOW_LEFT, SHALLOW_RIGHT);
        STORE(0, logits + s * step, step);
        if (wide == 1)
            continue;
        LOAD(1, position + s * queries + SIDE, queries);
        LOAD(SHALLOW_RIGHT, query + SIDE, queries);
        MULTIPLY(1, SHALLOW_LEFT, SHALLOW_RIGHT);
        STORE(1, logits + s * step + SIDE, step);
    }
    for (int s = 0; s < keys; s++)
        UNROLL for (int j = 0; j < wide; j++) maximum[j] = vmax(maximum[j], load(logits + s * step + j * LANES));
}

/* value (16, UNITS(keys)) x weights (UNITS(keys), wide * 16), times the factor of each column: (16, queries) */
INLINE void strip_sums(int wide, int queries, int keys, const float *value, const float *weights, const vec *factor,
                       float *out) {
    const int step = wide * SIDE;
    STORED_BEFORE;
    _tile_zero(0);
    _tile_zero(1);
    if (keys == SIDE) {
        LOAD(SHALLOW_LEFT, value, UNITS(SIDE));
        LOAD(SHALLOW_RIGHT, weights, step);
        MULTIPLY(0, SHALLOW_LEFT, SHALLOW_RIGHT);
        LOAD(SHALLOW_RIGHT, weights + (wide - 1) * SIDE, step);
        MULTIPLY(1, SHALLOW_LEFT, SHALLOW_RIGHT);
    } else {
        for (int k = 0; k < UNITS(keys); k += SIDE) {
            LOAD(LEFT, value + k, UNITS(keys));
            LOAD(RIGHT, weights + k * step, step);
            MULTIPLY(0, LEFT, RIGHT);
            LOAD(RIGHT, weights + k * step + (wide - 1) * SIDE, step);
            MULTIPLY(1, LEFT, RIGHT);
        }
    }
    STORE(0, out, queries);
    if (wide == 2)
        STORE(1, out + SIDE, queries);
    for (int d = 0; d < HEAD; d++)
        UNROLL for (int j = 0; j < wide; j++)
            store(out + d * queries + j * LANES, load(out + d * queries + j * LANES) * factor[j]);
}

#endif
