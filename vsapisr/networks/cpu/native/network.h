/* What the caller hands over: weights and one image. vsapisr/networks/cpu/network.py has the same structures.
 *
 * Linear layers: (rows / 8, depth in units, 8). Convolutions: (output channels / 32, taps, input channels in units, 32),
 * taps by row and column; in floats those of the stages and of hr are transformed, with 16 places for taps (see winograd.h).
 * Units are floats, or pairs of bfloat16 (see vector.h); vectors and tables are floats. For AMX (see amx.h): linear layers
 * (rows, depth in units), their biases each 16 times, the last convolution (9 taps, 64 in units, 16), its bias 16. */
#ifndef VSAPISR_NETWORK_H
#define VSAPISR_NETWORK_H

#include <stddef.h> /* ptrdiff_t: 64 bits where long has 32, as in Windows */

/* One more with every change that a caller must know of: of these structures, of how weights are packed, of functions. */
#define VSAPISR_ABI 1

typedef struct Block {
    const float *window_weight, *window_bias; /* 64 -> 96: queries, keys, values of two heads */
    const float *stripe_weight, *stripe_bias;
    const float *anchor_weight, *anchor_bias;                /* 64 -> 32, of sums of 2x2 tokens */
    const float *window_scale, *gather_scale, *spread_scale; /* of each head */
    const float *window_position; /* (1, or 4 classes of a shifted block's windows; head; key; query) */
    const float *gather_position, *spread_position;
    const float *proj_weight, *proj_bias, *norm1_weight, *norm1_bias;
    const float *fc1_weight, *fc1_bias, *fc2_weight, *fc2_bias, *norm2_weight, *norm2_bias;
    ptrdiff_t shifted;
} Block;

typedef struct Network {
    ptrdiff_t stages;
    const ptrdiff_t *depths;                /* blocks of each stage */
    const Block *blocks;                    /* of all stages */
    const float *first_weight, *first_bias; /* (9 taps, 4 with the last 0, 64), always float */
    const float *norm_start_weight, *norm_start_bias, *norm_end_weight, *norm_end_bias;
    const float *const *stage_weight, *const *stage_bias; /* of each stage, and of the convolution after the body */
    const float *before_weight, *before_bias;
    const float *up1_weight, *up1_bias; /* 64 -> 4 phases of 64, 2x2 taps */
    const float *up2_weight, *up2_bias;
    const float *hr_weight, *hr_bias;
    const float *last_weight, *last_bias; /* (3, 9 taps, 64 in units); see above */
} Network;

typedef struct Image {
    const float *input; /* (3, height, width), the mean subtracted; both sides multiples of 8 */
    float *output;      /* (3, 4 * height, 4 * width), the mean added */
    ptrdiff_t height, width;
    void *workspace; /* workspace_bytes(height, width, threads), aligned to 64 */
    ptrdiff_t threads;
} Image;

#endif
