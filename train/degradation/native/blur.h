/* Blur: ROWS rows of output at a time, so that what is loaded is used ROWS times. The input's rows, with reflected borders,
 * are kept in a ring that holds as many as these outputs look at. */

#if defined(VSAPISR_AVX2)
enum { ROWS = 4, VECTORS = 2 }; /* of sums that fit into the registers */
#else
enum { ROWS = 4, VECTORS = 4 };
#endif
enum { STEP = VECTORS * LANES, ACROSS = TILE / LANES };

typedef struct {
    const Picture *picture;
    float *memory;
    long stride, count, reach_y, reach_x, next; /* next: the row of the picture that is read next */
} Ring;

/* 0, 1, 2 ... n - 1, n - 2 ... 0, 1 ... */
INLINE long mirrored(long i, long n) {
    if (n == 1)
        return 0;
    i = labs(i) % (2 * n - 2);
    return i < n ? i : 2 * n - 2 - i;
}

static float *ring_row(const Ring *ring, long y) {
    return ring->memory + (y + ring->reach_y) % ring->count * ring->stride;
}

static void read_row(const Ring *ring, long y) {
    const Picture *picture = ring->picture;
    long width = picture->width;
    float *row = ring_row(ring, y) + 3 * ring->reach_x;
    read_values(row, picture, mirrored(y, picture->height) * width * 3, width * 3);
    for (long x = 1; x <= ring->reach_x; x++) {
        memcpy(row - 3 * x, row + 3 * mirrored(-x, width), 3 * sizeof(float));
        memcpy(row + 3 * (width - 1 + x), row + 3 * mirrored(width - 1 + x, width), 3 * sizeof(float));
    }
}

/* The ring for kernels of (tall, wide), with ``more`` floats after it; its memory is NULL if there is none. */
static Ring new_ring(const Picture *picture, long tall, long wide, long rows_more, long more) {
    Ring ring = {picture,  NULL,       padded(3 * (picture->width + wide - 1)), tall + ROWS - 1, tall / 2,
                 wide / 2, -(tall / 2)};
    /* zeros: what lies beyond a row's end is multiplied too, and thrown away */
    ring.memory = calloc((ring.count + rows_more) * ring.stride + more, sizeof(float));
    return ring;
}

/* lines[i]: the row of the picture ``y`` - reach_y + i, all that rows y to y + ROWS - 1 of the output look at */
static void advance(Ring *ring, long y, const float **lines) {
    for (; ring->next < y + ROWS + ring->reach_y; ring->next++)
        read_row(ring, ring->next);
    for (long i = 0; i < ring->count; i++)
        lines[i] = ring_row(ring, y - ring->reach_y + i);
}

/* ``room`` floats of ``sums`` at most */
INLINE void put(float *to, const vec *sums, int vectors, long room) {
    if (room >= vectors * LANES) {
        UNROLL for (int k = 0; k < vectors; k++) store(to + k * LANES, sums[k]);
    } else {
        float whole[TILE];
        UNROLL for (int k = 0; k < vectors; k++) store(whole + k * LANES, sums[k]);
        memcpy(to, whole, room * sizeof(float));
    }
}

/* ``weights``: those of the column with ROWS - 1 zeros before and after */
static void filter_down(const float *const *lines, long count, const float *weights, float *to, long stride) {
    for (long x = 0; x < stride - TILE; x += STEP) {
        vec sums[ROWS][VECTORS];
        UNROLL for (int j = 0; j < ROWS; j++) UNROLL for (int k = 0; k < VECTORS; k++) sums[j][k] = ZERO;
        for (long i = 0; i < count; i++) {
            vec values[VECTORS];
            UNROLL for (int k = 0; k < VECTORS; k++) values[k] = load(lines[i] + x + k * LANES);
            UNROLL for (int j = 0; j < ROWS; j++) {
                vec weight = splat(weights[i - j + ROWS - 1]);
                UNROLL for (int k = 0; k < VECTORS; k++) sums[j][k] = vfma(values[k], weight, sums[j][k]);
            }
        }
        UNROLL for (int j = 0; j < ROWS; j++) put(to + j * stride + x, sums[j], VECTORS, STEP);
    }
}

/* One row of the result: the sum of ``count`` filtered rows, ``apart`` floats from each other */
static void filter_across(const float *from, long apart, long count, const float *weights, long taps, float *to,
                          long n) {
    for (long x = 0; x < n; x += TILE) {
        vec sums[ACROSS];
        UNROLL for (int k = 0; k < ACROSS; k++) sums[k] = ZERO;
        for (long c = 0; c < count; c++) {
            for (long t = 0; t < taps; t++) {
                const float *values = from + c * apart + x + 3 * t;
                vec weight = splat(weights[c * taps + t]);
                UNROLL for (int k = 0; k < ACROSS; k++) sums[k] = vfma(load(values + k * LANES), weight, sums[k]);
            }
        }
        put(to + x, sums, ACROSS, n - x);
    }
}

static int blur_passes(const Picture *picture, long count, const float *columns, long tall, const float *rows,
                       long wide) {
    long height = picture->height, values = picture->width * 3, spread = tall + 2 * (ROWS - 1);
    Ring ring = new_ring(picture, tall, wide, count * ROWS, count * spread);
    const float **lines = malloc(ring.count * sizeof(*lines));
    if (ring.memory && lines) {
        float *filtered = ring.memory + ring.count * ring.stride, *weights = filtered + count * ROWS * ring.stride;
        for (long c = 0; c < count; c++)
            memcpy(weights + c * spread + ROWS - 1, columns + c * tall, tall * sizeof(float));
        for (long y = 0; y < height; y += ROWS) {
            advance(&ring, y, lines);
            for (long c = 0; c < count; c++)
                filter_down(lines, ring.count, weights + c * spread, filtered + c * ROWS * ring.stride, ring.stride);
            for (long j = 0; j < ROWS && y + j < height; j++)
                filter_across(filtered + j * ring.stride, ROWS * ring.stride, count, rows, wide,
                              picture->result + (y + j) * values, values);
        }
    }
    int failed = !ring.memory || !lines;
    free(lines);
    free(ring.memory);
    return failed;
}

/* ``first``, ``last``: the columns of the kernel between which any of the ROWS outputs has weights in line i */
static void used_columns(const float *weights, long count, long wide, long *first, long *last) {
    for (long i = 0; i < count; i++) {
        first[i] = wide, last[i] = 0;
        for (long j = 0; j < ROWS; j++) {
            const float *row = weights + (i + j) * wide;
            for (long t = 0; t < wide; t++) {
                if (row[t] == 0)
                    continue;
                if (t < first[i])
                    first[i] = t;
                if (t >= last[i])
                    last[i] = t + 1;
            }
        }
    }
}

/* ROWS rows of sums from value ``x`` on; the weights of line i for row j of them: row i - j + ROWS - 1 of ``weights`` */
INLINE void sum_taps(const float *const *lines, long count, const float *weights, long wide, const long *first,
                     const long *last, long x, vec sums[ROWS][VECTORS]) {
    UNROLL for (int j = 0; j < ROWS; j++) UNROLL for (int k = 0; k < VECTORS; k++) sums[j][k] = ZERO;
    for (long i = 0; i < count; i++) {
        const float *row = weights + (i + ROWS - 1) * wide;
        for (long t = first[i]; t < last[i]; t++) {
            vec seen[VECTORS];
            UNROLL for (int k = 0; k < VECTORS; k++) seen[k] = load(lines[i] + x + 3 * t + k * LANES);
            UNROLL for (int j = 0; j < ROWS; j++) {
                vec weight = splat(row[t - j * wide]);
                UNROLL for (int k = 0; k < VECTORS; k++) sums[j][k] = vfma(seen[k], weight, sums[j][k]);
            }
        }
    }
}

static int blur_taps(const Picture *picture, const float *kernel, long tall, long wide) {
    long height = picture->height, values = picture->width * 3;
    Ring ring = new_ring(picture, tall, wide, 0, (tall + 2 * (ROWS - 1)) * wide);
    const float **lines = malloc(ring.count * sizeof(*lines));
    long *first = malloc(2 * ring.count * sizeof(*first)), *last = first + ring.count;
    int failed = !ring.memory || !lines || !first;
    if (!failed) {
        float *weights = ring.memory + ring.count * ring.stride; /* ROWS - 1 rows of zeros before and after */
        memcpy(weights + (ROWS - 1) * wide, kernel, tall * wide * sizeof(float));
        used_columns(weights, ring.count, wide, first, last);
        for (long y = 0; y < height; y += ROWS) {
            advance(&ring, y, lines);
            for (long x = 0; x < values; x += STEP) {
                vec sums[ROWS][VECTORS];
                sum_taps(lines, ring.count, weights, wide, first, last, x, sums);
                UNROLL for (int j = 0; j < ROWS; j++) if (y + j < height)
                    put(picture->result + (y + j) * values + x, sums[j], VECTORS, values - x);
            }
        }
    }
    free(first);
    free(lines);
    free(ring.memory);
    return failed;
}
