/* Steps of the degradation on one picture of interleaved RGB: what the library exports, and what each of its parts, compiled
 * for another instruction set, gives. No threads: pictures are spread over processes. */
#ifndef VSAPISR_DEGRADE_H
#define VSAPISR_DEGRADE_H

#include "../../../vsapisr/networks/cpu/native/processor.h"

#include <stdint.h>

/* One more with every change that a caller must know of: of these structures, or of what the functions take and do. */
#define VSAPISR_DEGRADE_ABI 1

typedef struct {
    const void *image; /* (height, width, 3): float, or bytes, which are taken as 0..1 */
    long bytes;        /* whether they are bytes */
    long height, width;
    float *result; /* (height, width, 3), or of the size asked for */
} Picture;

typedef struct {
    const uint8_t *levels; /* (height, width, 3 or, of grey noise, 1), or NULL */
    uint64_t start;        /* of the random numbers, of which a strip takes 64 bits at a time */
    const float *tables;   /* (n, 65536): noise by 16 random bits, or by 256 * level + 8 random bits */
    const int32_t *order;  /* which table for each strip of rows */
    long strip;            /* rows in a strip: a multiple of 8 */
    long grey;             /* one number for the three channels of a pixel */
    float amount;
} Noise;

typedef struct {
    long count;           /* of outputs */
    long taps;            /* inputs of each at most */
    const int32_t *first; /* (count): its first input; first + taps is at most the number of inputs */
    const float *weights; /* (count, taps) */
} Axis;

typedef struct {
    /* Sum over ``count`` of filtering with a column (count, tall) and a row (count, wide), with borders reflected about the
     * outermost pixels. Not 0: there was not enough memory, here and below. */
    int (*passes)(const Picture *picture, long count, const float *columns, long tall, const float *rows, long wide);
    /* Filtering with a kernel (tall, wide), tap by tap. */
    int (*taps)(const Picture *picture, const float *kernel, long tall, long wide);
    /* result = image + amount * noise */
    int (*noise)(const Picture *picture, const Noise *noise);
    /* Each output a weighted sum of neighbouring inputs, down and then across. */
    int (*reduce)(const Picture *picture, const Axis *down, const Axis *across);
    /* n floats as bytes of 0..255: clamped to 0..1, then rounded, halves to even */
    void (*to_bytes)(const float *values, uint8_t *bytes, long n);
} Steps;

extern const Steps vsapisr_steps_avx2, vsapisr_steps_avx512;

#endif
