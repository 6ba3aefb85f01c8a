/* Reduction: outputs that are weighted sums of few neighbouring inputs, other ones for each output. */

enum { PIXELS = 4 }; /* sums that do not wait for each other */

static void reduce_across(const float *row, const Axis *axis, float *to) {
    long count = axis->count, taps = axis->taps;
    for (long x = 0; x < count; x += PIXELS) {
        const float *values[PIXELS], *weights[PIXELS];
        __m128 sums[PIXELS]; /* the last lane is the next pixel's, and not used */
        UNROLL for (long p = 0; p < PIXELS; p++) {
            long at = x + p < count ? x + p : count - 1;
            values[p] = row + 3 * (long)axis->first[at], weights[p] = axis->weights + at * taps,
            sums[p] = _mm_setzero_ps();
        }
        for (long t = 0; t < taps; t++)
            UNROLL for (long p = 0; p < PIXELS; p++) sums[p] =
                _mm_fmadd_ps(_mm_loadu_ps(values[p] + 3 * t), _mm_set1_ps(weights[p][t]), sums[p]);
        if (x + PIXELS < count) { /* what is written too much is written over by the next pixel */
            UNROLL for (long p = 0; p < PIXELS; p++) _mm_storeu_ps(to + 3 * (x + p), sums[p]);
        } else {
            for (long p = 0; x + p < count; p++)
                memcpy(to + 3 * (x + p), &sums[p], 3 * sizeof(float));
        }
    }
}

static int reduce(const Picture *picture, const Axis *down, const Axis *across) {
    long values = picture->width * 3, stride = padded(values), taps = down->taps, next = 0;
    float *row = calloc((1 + taps) * stride, sizeof(float)), *ring = row + stride; /* ring: the last rows read */
    const float **lines = malloc(taps * sizeof(*lines));
    int failed = !row || !lines;
    for (long y = 0; y < down->count && !failed; y++) {
        const float *weights = down->weights + y * taps;
        long first = down->first[y];
        for (next = next > first ? next : first; next < first + taps; next++)
            read_values(ring + next % taps * stride, picture, next * values, values);
        for (long t = 0; t < taps; t++)
            lines[t] = ring + (first + t) % taps * stride;
        for (long x = 0; x < values; x += TILE) {
            vec sums[TILE / LANES];
            UNROLL for (int k = 0; k < TILE / LANES; k++) sums[k] = ZERO;
            for (long t = 0; t < taps; t++) {
                vec weight = splat(weights[t]);
                UNROLL for (int k = 0; k < TILE / LANES; k++) sums[k] =
                    vfma(load(lines[t] + x + k * LANES), weight, sums[k]);
            }
            UNROLL for (int k = 0; k < TILE / LANES; k++) store(row + x + k * LANES, sums[k]);
        }
        reduce_across(row, across, picture->result + y * across->count * 3);
    }
    free(lines);
    free(row);
    return failed;
}
