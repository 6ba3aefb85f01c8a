/* Reduction: outputs that are weighted sums of few neighbouring inputs, other ones for each output. */

static void reduce_across(const float *row, const Axis *axis, float *to) {
    for (long x = 0; x < axis->count; x++) {
        const float *values = row + 3 * (long)axis->first[x], *weights = axis->weights + x * axis->taps;
        __m128 sum = _mm_setzero_ps(); /* its last lane is the next pixel's, and not used */
        for (long t = 0; t < axis->taps; t++) sum = _mm_fmadd_ps(_mm_loadu_ps(values + 3 * t), _mm_set1_ps(weights[t]), sum);
        if (x + 1 < axis->count) _mm_storeu_ps(to + 3 * x, sum); /* the next pixel is written after it */
        else memcpy(to + 3 * x, &sum, 3 * sizeof(float));
    }
}

static int reduce(const Picture *picture, const Axis *down, const Axis *across) {
    long values = picture->width * 3;
    float *row = calloc(2 * padded(values), sizeof(float)), *bytes = row + padded(values);
    if (!row) return 1;
    for (long y = 0; y < down->count; y++) {
        for (long t = 0; t < down->taps; t++) {
            long at = (down->first[y] + t) * values;
            float weight = down->weights[y * down->taps + t];
            const float *from = picture->bytes ? bytes : (const float *)picture->image + at;
            if (weight == 0 && t) continue;
            if (picture->bytes) read_values(bytes, picture, at, values);
            if (t) for (long x = 0; x < values; x++) row[x] += weight * from[x];
            else for (long x = 0; x < values; x++) row[x] = weight * from[x];
        }
        reduce_across(row, across, picture->result + y * across->count * 3);
    }
    free(row);
    return 0;
}
