/* Cosine attention within one window. Matrices are (channels, tokens), so that norms, softmax and LayerNorm go along
 * columns, sixteen or eight tokens at a time, and nothing is ever summed across a vector. */
#ifndef VSAPISR_ATTENTION_H
#define VSAPISR_ATTENTION_H

#include "gemm.h"

#define HEAD 16    /* channels */
#define TOKENS 64  /* of a window */
#define ANCHORS 16 /* of a window */

/* Each column of (16, columns) divided by its length and multiplied by scale, as the operand of a product over the 16:
 * (UNITS(16), columns). target may be source where units are floats. */
INLINE void normalised(const float *source, int columns, float scale, float *target) {
    for (int i = 0; i < columns; i += LANES) {
        vec squares = ZERO;
        for (int d = 0; d < HEAD; d++)
            squares = vfma(load(source + d * columns + i), load(source + d * columns + i), squares);
        vec factor = splat(scale) / vmax(vsqrt(squares), splat(1e-12f));
#if defined(VSAPISR_AVX512_BF16)
        for (int d = 0; d < HEAD; d += 2)
            store_pairs(target + d / 2 * columns + i, load(source + d * columns + i) * factor,
                        load(source + (d + 1) * columns + i) * factor);
#else
        for (int d = 0; d < HEAD; d++)
            store(target + d * columns + i, load(source + d * columns + i) * factor);
#endif
    }
}

/* Softmax over the keys of one strip of `wide` vectors of queries, whose logits are in `logits` (keys, wide * LANES) with
 * their maximum: exponentials in place, as the right operand of a product over the keys; returns 1 / sums in `inverse`. */
INLINE void softmax(int wide, int keys, float *logits, const vec *maximum, vec *inverse) {
    vec sums[2] = {ZERO, ZERO};
    const int step = wide * LANES;
    for (int s = 0; s < keys; s += 2)
        UNROLL for (int j = 0; j < wide; j++) {
            vec first = exponential(load(logits + s * step + j * LANES) - maximum[j]);
            vec second = exponential(load(logits + (s + 1) * step + j * LANES) - maximum[j]);
            sums[j] = sums[j] + (first + second);
#if defined(VSAPISR_AVX512_BF16)
            store_pairs(logits + s / 2 * step + j * LANES, first, second);
#else
            store(logits + s * step + j * LANES, first);
            store(logits + (s + 1) * step + j * LANES, second);
#endif
        }
    UNROLL for (int j = 0; j < wide; j++) inverse[j] = splat(1.0f) / sums[j];
}

#if defined(VSAPISR_AMX)
#include "amx_attention.h"
#else
/* key (UNITS(16), keys) as the left operand of a product over the 16, as it is */
static const float *as_keys(const float *key, int keys, float *scratch) {
    (void)keys, (void)scratch;
    return key;
}

/* position + key x query for one strip of `wide` vectors of queries: (keys, wide * LANES) and its columns' maximum. */
INLINE void strip_logits(int wide, int queries, int keys, const float *key, const float *query, const float *position,
                         float *logits, vec *maximum) {
    for (int s = 0; s < keys; s += TILE_ROWS) {
        vec acc[TILE_ROWS * 2];
        UNROLL for (int i = 0; i < TILE_ROWS; i++) UNROLL for (int j = 0; j < wide; j++) acc[i * wide + j] =
            load(position + (s + i) * queries + j * LANES);
        tile(TILE_ROWS, wide, acc, key + s, 1, keys, query, queries, UNITS(HEAD));
        UNROLL for (int i = 0; i < TILE_ROWS; i++) UNROLL for (int j = 0; j < wide; j++) {
            maximum[j] = vmax(maximum[j], acc[i * wide + j]);
            store(logits + (s + i) * wide * LANES + j * LANES, acc[i * wide + j]);
        }
    }
}

/* value (16, UNITS(keys)) x weights (UNITS(keys), wide * LANES), times the factor of each column: (16, queries) */
INLINE void strip_sums(int wide, int queries, int keys, const float *value, const float *weights, const vec *factor,
                       float *out) {
    for (int d = 0; d < HEAD; d += TILE_ROWS) {
        vec acc[TILE_ROWS * 2];
        UNROLL for (int i = 0; i < TILE_ROWS * wide; i++) acc[i] = ZERO;
        tile(TILE_ROWS, wide, acc, value + d * UNITS(keys), UNITS(keys), 1, weights, wide * LANES, UNITS(keys));
        UNROLL for (int i = 0; i < TILE_ROWS; i++) UNROLL for (int j = 0; j < wide; j++)
            store(out + (d + i) * queries + j * LANES, acc[i * wide + j] * factor[j]);
    }
}
#endif

/* out (16, queries) of one head: key normalised (as_keys), query normalised (UNITS(16), queries), value (16, UNITS(keys)) as a
 * left operand, position (keys, queries). logits has room for keys * 2 * LANES floats. */
INLINE void attend_tiles(int wide, int queries, int keys, const float *key, const float *query, const float *value,
                         const float *position, float *out, float *logits) {
    for (int t = 0; t < queries; t += wide * LANES) {
        vec maximum[2], inverse[2];
        UNROLL for (int j = 0; j < wide; j++) maximum[j] = splat(-1e30f);
        strip_logits(wide, queries, keys, key, query + t, position + t, logits, maximum);
        softmax(wide, keys, logits, maximum, inverse);
        strip_sums(wide, queries, keys, value, logits, inverse, out + t);
    }
}

static void attend_window(const float *key, const float *query, const float *value, const float *position, float *out,
                          float *logits) {
    attend_tiles(2, TOKENS, TOKENS, key, query, value, position, out, logits);
}

/* anchors ask, tokens answer */
static void attend_gather(const float *key, const float *query, const float *value, const float *position, float *out,
                          float *logits) {
    attend_tiles(ANCHORS / LANES, ANCHORS, TOKENS, key, query, value, position, out, logits);
}

/* tokens ask, anchors answer */
static void attend_spread(const float *key, const float *query, const float *value, const float *position, float *out,
                          float *logits) {
    attend_tiles(2, TOKENS, ANCHORS, key, query, value, position, out, logits);
}

/* Sums of 2x2 tokens: x (channels, 8 * 8) -> (channels, 4 * 4) */
static void anchor_sums(const float *x, int channels, float *out) {
    for (int c = 0; c < channels; c++, x += TOKENS, out += ANCHORS)
        for (int i = 0; i < 2; i++) { /* two rows of anchors are eight values */
            __m256 upper = _mm256_loadu_ps(x + i * 32) + _mm256_loadu_ps(x + i * 32 + 8);
            __m256 lower = _mm256_loadu_ps(x + i * 32 + 16) + _mm256_loadu_ps(x + i * 32 + 24);
            __m256 pairs = _mm256_hadd_ps(upper, lower); /* 01 of upper, 01 of lower, 23 of upper, 23 of lower */
            pairs = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), _MM_SHUFFLE(3, 1, 2, 0)));
            _mm256_storeu_ps(out + i * 8, pairs);
        }
}

/* x += LayerNorm over the channels of y * weight + bias; both (64, 64) */
static void add_normed(float *x, const float *y, const float *weight, const float *bias, int add) {
    enum { WIDE = 4 }; /* vectors at a time: sums that do not wait for each other */
    for (int t = 0; t < TOKENS; t += WIDE * LANES) {
        vec mean[WIDE], factor[WIDE];
        UNROLL for (int j = 0; j < WIDE; j++) mean[j] = factor[j] = ZERO;
        for (int c = 0; c < 64; c++)
            UNROLL for (int j = 0; j < WIDE; j++) mean[j] = mean[j] + load(y + c * TOKENS + t + j * LANES);
        UNROLL for (int j = 0; j < WIDE; j++) mean[j] = mean[j] * splat(1.0f / 64);
        for (int c = 0; c < 64; c++)
            UNROLL for (int j = 0; j < WIDE; j++) {
                vec difference = load(y + c * TOKENS + t + j * LANES) - mean[j];
                factor[j] = vfma(difference, difference, factor[j]);
            }
        UNROLL for (int j = 0; j < WIDE; j++) factor[j] =
            splat(1.0f) / vsqrt(vfma(factor[j], splat(1.0f / 64), splat(1e-5f)));
        for (int c = 0; c < 64; c++)
            UNROLL for (int j = 0; j < WIDE; j++) {
                const int i = c * TOKENS + t + j * LANES;
                vec value = vfma((load(y + i) - mean[j]) * factor[j], splat(weight[c]), splat(bias[c]));
                if (add)
                    value = value + load(x + i);
                store(x + i, value);
            }
    }
}

#endif
