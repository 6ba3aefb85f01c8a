/* One transformer block on one window of the body, (64 channels, 64 tokens) in float. */
#ifndef VSAPISR_BLOCK_H
#define VSAPISR_BLOCK_H

#include "attention.h"
#include "network.h"

#define WINDOW (64 * TOKENS) /* floats */

/* Room for what one thread needs while it works on a window. */
typedef struct Room {
    float qkv[96 * TOKENS];
    float operand[128 * TOKENS]; /* right operand made of floats; room for the MLP's hidden layer */
    float value[32 * TOKENS];
    float keys[UNITS(HEAD) * TOKENS]; /* as a left operand, where that is another form */
    float hidden[128 * TOKENS];
    float joined[WINDOW]; /* both branches */
    float result[WINDOW];
    float shifted[WINDOW];
    float logits[TOKENS * 2 * LANES];
    float anchors[3 * 64 * ANCHORS];
} Room;

/* Window attention of x, a right operand: (UNITS(64), 64) -> out (32, 64) */
static void window_branch(const Block *block, const float *x, const float *position, float *out, Room *room) {
    linear(96, 64, block->window_weight, block->window_bias, x, room->qkv);
    for (int head = 0; head < 2; head++) {
        float *query = room->qkv + head * HEAD * TOKENS, *key = query + 32 * TOKENS, *value = query + 64 * TOKENS;
        normalised(query, TOKENS, block->window_scale[head], query);
        normalised(key, TOKENS, 1.0f, key);
        attend_window(as_keys(key, TOKENS, room->keys), query, as_left(value, HEAD, TOKENS, room->value),
                      position + head * TOKENS * TOKENS, out + head * HEAD * TOKENS, room->logits);
    }
}

/* Anchored attention of a window: x (64, 64) and the same as a right operand -> out (32, 64) */
static void stripe_branch(const Block *block, const float *x, const float *right, float *out, Room *room) {
    float *sums = room->anchors, *anchors = sums + 64 * ANCHORS, *gathered = anchors + 32 * ANCHORS;
    float *operand = room->value; /* free until the values are needed */
    linear(96, 64, block->stripe_weight, block->stripe_bias, right, room->qkv);
    anchor_sums(x, 64, sums);
    linear_anchors(32, 64, block->anchor_weight, block->anchor_bias, as_right(sums, 64, ANCHORS, operand), anchors);
    for (int head = 0; head < 2; head++) {
        float *query = room->qkv + head * HEAD * TOKENS, *key = query + 32 * TOKENS, *value = query + 64 * TOKENS;
        float *anchor = anchors + head * HEAD * ANCHORS;
        normalised(query, TOKENS, block->spread_scale[head], query);
        normalised(key, TOKENS, block->gather_scale[head], key);
        normalised(anchor, ANCHORS, 1.0f, anchor);
        attend_gather(as_keys(key, TOKENS, room->keys), anchor, as_left(value, HEAD, TOKENS, room->value),
                      block->gather_position + head * TOKENS * ANCHORS, gathered, room->logits);
        attend_spread(as_keys(anchor, ANCHORS, room->keys), query, as_left(gathered, HEAD, ANCHORS, room->value),
                      block->spread_position + head * TOKENS * ANCHORS, out + head * HEAD * TOKENS, room->logits);
    }
}

/* A window put together from four others, each giving the quarter opposite to where it goes: (channels, 8 * 8) each. This
 * both fetches a window shifted by half its side and puts it back. */
static void from_quarters(const float *const source[4], int channels, float *out) {
    for (int c = 0; c < channels; c++, out += TOKENS)
        for (int row = 0; row < 8; row++) {
            const int half = row / 4 * 2, from = c * TOKENS + (row + 4) % 8 * 8;
            _mm_storeu_ps(out + row * 8, _mm_loadu_ps(source[half] + from + 4));
            _mm_storeu_ps(out + row * 8 + 4, _mm_loadu_ps(source[half + 1] + from));
        }
}

/* All of a block but the window attention of a shifted one, which is then in room->joined already. x in place. */
static void block_on_window(const Block *block, float *x, Room *room) {
    const float *right = as_right(x, 64, TOKENS, room->operand);
    if (!block->shifted)
        window_branch(block, right, block->window_position, room->joined, room);
    stripe_branch(block, x, right, room->joined + 32 * TOKENS, room);
    linear(64, 64, block->proj_weight, block->proj_bias, as_right(room->joined, 64, TOKENS, room->operand),
           room->result);
    add_normed(x, room->result, block->norm1_weight, block->norm1_bias, 1);
    const float *hidden = linear_gelu(128, 64, block->fc1_weight, block->fc1_bias,
                                      as_right(x, 64, TOKENS, room->operand), room->hidden, room->operand);
    linear(64, 128, block->fc2_weight, block->fc2_bias, hidden, room->result);
    add_normed(x, room->result, block->norm2_weight, block->norm2_bias, 1);
}

#endif
