/* Means of stretches, as in vsapisr/reuse/means.py. */
#include "hold.h"

#include <string.h>

enum { MOST = 256 };

/* A block of all frames, with the name of its stretch in each and whether it counts. */
typedef struct {
    char **in, **out;
    const ptrdiff_t *strides;
    int16_t names[MOST];
    uint8_t counted[MOST];
    ptrdiff_t frames, width, left;
} Block;

/* The frames from `first` on that show its stretch become the mean of those that count. */
#define MEANS(NAME, SAMPLE, SUM, HALF) \
    static ALWAYS_INLINE void NAME(const Block *b, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t columns) { \
        SUM total[64] = {0}, number = 0; \
        SAMPLE mean[64]; \
        for (ptrdiff_t n = first; n < b->frames; n++) { \
            if (b->names[n] != first || !b->counted[n]) \
                continue; \
            number += 1; \
            for (ptrdiff_t y = 0; y < rows; y++) { \
                const SAMPLE *row = (const SAMPLE *)(b->in[n] + y * b->strides[n]) + b->left; \
                for (ptrdiff_t x = 0; x < columns; x++) \
                    total[y * columns + x] += row[x]; \
            } \
        } \
        for (ptrdiff_t i = 0; i < rows * columns; i++) \
            mean[i] = (SAMPLE)((total[i] + HALF) / number); \
        for (ptrdiff_t n = first; n < b->frames; n++) \
            for (ptrdiff_t y = 0; b->names[n] == first && y < rows; y++) \
                memcpy((SAMPLE *)b->out[n] + y * b->width + b->left, mean + y * columns, columns * sizeof *mean); \
    } \
    static void NAME##_of(const Block *b, ptrdiff_t first, ptrdiff_t rows, ptrdiff_t columns) { \
        if (rows == 8 && columns == 8) \
            NAME(b, first, 8, 8); \
        else if (rows == 4 && columns == 4) \
            NAME(b, first, 4, 4); \
        else \
            NAME(b, first, rows, columns); \
    }

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

MEANS(means_u8, uint8_t, uint32_t, number / 2)
MEANS(means_u16, uint16_t, uint32_t, number / 2)
MEANS(means_f32, float, double, 0)

/* A frame's own samples, where its stretch has no other, or begins later: the first frame, if it was away from it. */
static void copied(const Block *b, ptrdiff_t n, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t size) {
    for (ptrdiff_t y = 0; y < rows; y++)
        memcpy(b->out[n] + (y * b->width + b->left) * size, b->in[n] + y * b->strides[n] + b->left * size,
               columns * size);
}

static void block(const Block *b, int kind, ptrdiff_t rows, ptrdiff_t columns) {
    uint8_t members[MOST + 1] = {0}; /* 0, 1, or more */
    for (ptrdiff_t n = 0; n < b->frames; n++)
        members[b->names[n]] += n >= b->names[n] && members[b->names[n]] < 2;
    for (ptrdiff_t n = 0; n < b->frames; n++) {
        const ptrdiff_t first = n;
        if (n < b->names[n] || members[b->names[n]] == 1)
            copied(b, n, rows, columns, kind ? kind : (ptrdiff_t)sizeof(float));
        if (members[first] > 1)
            (kind == 1 ? means_u8_of : kind == 2 ? means_u16_of : means_f32_of)(b, first, rows, columns);
    }
}

/* The planes (height, width) of `frames` frames, with rows `strides` bytes apart, into planes without gaps. Blocks have
 * `rows` x `columns` samples, at most 64, fewer at the far edges. `names` and `counted` are (frames, blocks);
 * every stretch has a frame that counts. `kind`: bytes of whole samples, 1 or 2, or 0 for float. 0 if
 * there are too many frames. */
EXPORT int vsapisr_hold_means(int kind, char *const *in, char *const *out, const ptrdiff_t *strides, ptrdiff_t frames,
                              ptrdiff_t height, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t columns,
                              const int16_t *names, const uint8_t *counted) {
    char *from[MOST], *to[MOST];
    const ptrdiff_t across = (width + columns - 1) / columns, down = (height + rows - 1) / rows;
    const ptrdiff_t size = kind ? kind : (ptrdiff_t)sizeof(float);
    if (frames > MOST || rows * columns > 64)
        return 0;
    for (ptrdiff_t y = 0; y < down; y++) {
        const ptrdiff_t tall = height - y * rows < rows ? height - y * rows : rows;
        for (ptrdiff_t n = 0; n < frames; n++) {
            from[n] = in[n] + y * rows * strides[n];
            to[n] = out[n] + y * rows * width * size;
        }
        for (ptrdiff_t x = 0; x < across; x++) {
            const ptrdiff_t left = x * columns, wide = width - left < columns ? width - left : columns;
            const ptrdiff_t here = y * across + x;
            Block b = {.in = from, .out = to, .strides = strides, .frames = frames, .width = width, .left = left};
            for (ptrdiff_t n = 0; n < frames; n++) {
                b.names[n] = names[n * across * down + here];
                b.counted[n] = counted[n * across * down + here];
            }
            block(&b, kind, tall, wide);
        }
    }
    return 1;
}
