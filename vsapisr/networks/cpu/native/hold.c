/* Statistics of blocks, as in vsapisr/reuse/grids.py, motion.py and stretches.py. */
#include "hold.h"

#include <stdlib.h>
#include <string.h>

/* Rows of a plane that a block has, one value for each column of samples: `into` begins as the first. */
static void fold_sum(float *into, const float *row, ptrdiff_t width, int first) {
    for (ptrdiff_t x = 0; x < width; x++)
        into[x] = first ? row[x] : into[x] + row[x];
}

static void fold_largest(float *into, const float *row, ptrdiff_t width, int first) {
    for (ptrdiff_t x = 0; x < width; x++)
        into[x] = first ? row[x] : larger(into[x], row[x]);
}

static float across_sum(const float *from, ptrdiff_t count) {
    float found = from[0];
    for (ptrdiff_t k = 1; k < count; k++)
        found += from[k];
    return found;
}

static float across_largest(const float *from, ptrdiff_t count) {
    float found = from[0];
    for (ptrdiff_t k = 1; k < count; k++)
        found = larger(found, from[k]);
    return found;
}

/* Half the differences of the neighbours in a row, and of the rows above and below; 0 at the edges. */
static void gradient_row(const float *plane, ptrdiff_t y, ptrdiff_t height, ptrdiff_t width, float *right,
                         float *down) {
    const float *row = plane + y * width;
    right[0] = right[width - 1] = 0;
    for (ptrdiff_t x = 1; x < width - 1; x++)
        right[x] = (row[x + 1] - row[x - 1]) * 0.5f;
    if (y == 0 || y == height - 1)
        memset(down, 0, width * sizeof *down);
    else
        for (ptrdiff_t x = 0; x < width; x++)
            down[x] = (row[x + width] - row[x - width]) * 0.5f;
}

EXPORT void vsapisr_hold_gradients(const float *plane, ptrdiff_t height, ptrdiff_t width, float *right, float *down) {
    for (ptrdiff_t y = 0; y < height; y++)
        gradient_row(plane, y, height, width, right + y * width, down + y * width);
}

/* stretches.slack: for blocks of `rows` x `columns`, three grids. */
EXPORT int vsapisr_hold_slack(const float *plane, ptrdiff_t height, ptrdiff_t width, ptrdiff_t rows, ptrdiff_t columns,
                              float *found) {
    float *memory = malloc(4 * width * sizeof *memory);
    if (!memory)
        return 0;
    float *right = memory, *down = memory + width, *sum = memory + 2 * width, *most = memory + 3 * width;
    float *sample = found, *part = sample + height / rows * (width / columns), *block = 2 * (part - found) + found;
    const float share = (float)(1.0 / (double)(rows * columns));
    for (ptrdiff_t y = 0; y < height; y++) {
        gradient_row(plane, y, height, width, right, down);
        for (ptrdiff_t x = 0; x < width; x++)
            right[x] = larger(fabsf(right[x]), fabsf(down[x])) * 0.5f;
        fold_sum(sum, right, width, y % rows == 0);
        fold_largest(most, right, width, y % rows == 0);
        if (y % rows == rows - 1)
            for (ptrdiff_t x = 0; x < width; x += columns) {
                const float mean = across_sum(sum + x, columns) * share;
                *sample++ = across_largest(most + x, columns);
                *part++ = mean * 0.6f;
                *block++ = mean * 0.7f;
            }
    }
    free(memory);
    return 1;
}

/* A plane of a frame, of whole blocks of `rows` x `columns`, and the sum of those of a stretch. */
typedef struct {
    const float *values, *total, *slack;
    ptrdiff_t height, width, rows, columns;
} Plane;

/* The constants of stretches.py, and (5, blocks) sample, part, block, region, weave of noise.Limits. */
typedef struct {
    const float *values;
    ptrdiff_t around, region;
    float shifted, explained, strong, loose, lapse, more[3], pitch;
} Limits;

/* What a caller compares with its own idea of these structures. */
EXPORT const ptrdiff_t *vsapisr_hold_abi(void) {
    static const ptrdiff_t facts[] = {1, sizeof(Plane), sizeof(Limits)};
    return facts;
}

/* grids.statistics of a plane less the mean of a stretch, which is `total` by the `counts` of the blocks. Where `small`
 * is not NULL, means of 2x2 of that mean and of the difference besides, each (height / 2, width / 2). */
static int statistics(const Plane *p, const float *counts, float *largest, float *parts, float *blocks, float *small,
                      float *changed) {
    const float *plane = p->values, *total = p->total;
    const ptrdiff_t height = p->height, width = p->width, rows = p->rows, columns = p->columns;
    const ptrdiff_t down = rows < 2 ? rows : 2, right = columns < 2 ? columns : 2, grid = width / columns;
    const ptrdiff_t tall = rows / down, wide = columns / right, half = width / right;
    const float share = (float)(1.0 / (double)(down * right)), rest = (float)(1.0 / (double)(tall * wide));
    float *memory = malloc((5 * width + 3 * half) * sizeof *memory);
    if (!memory)
        return 0;
    float *scale = memory, *mean = scale + width, *difference = mean + width, *most = difference + width,
          *pair = most + width;
    float *part = pair + width, *part_sum = part + half, *part_most = part_sum + half;
    for (ptrdiff_t y = 0; y < height; y++) {
        const float *row = plane + y * width, *sums = total + y * width;
        const ptrdiff_t inside = y % rows;
        if (inside == 0)
            for (ptrdiff_t x = 0; x < grid; x++)
                for (ptrdiff_t k = 0; k < columns; k++)
                    scale[x * columns + k] = 1.0f / larger(counts[y / rows * grid + x], 1.0f);
        for (ptrdiff_t x = 0; x < width; x++)
            difference[x] = row[x] - sums[x] * scale[x];
        if (small)
            for (ptrdiff_t x = 0; x < width; x++)
                mean[x] = y % 2 ? mean[x] + sums[x] * scale[x] : sums[x] * scale[x];
        for (ptrdiff_t x = 0; x < width; x++)
            most[x] = inside ? larger(most[x], fabsf(difference[x])) : fabsf(difference[x]);
        fold_sum(pair, difference, width, inside % down == 0);
        if (inside % down != down - 1)
            continue;
        for (ptrdiff_t x = 0; x < half; x++)
            part[x] = (right == 2 ? pair[2 * x] + pair[2 * x + 1] : pair[x]) * share;
        if (small) {
            memcpy(changed + y / 2 * half, part, half * sizeof *part);
            for (ptrdiff_t x = 0; x < half; x++)
                small[y / 2 * half + x] = (mean[2 * x] + mean[2 * x + 1]) * 0.25f;
        }
        fold_sum(part_sum, part, half, inside < down);
        for (ptrdiff_t x = 0; x < half; x++)
            part_most[x] = inside < down ? fabsf(part[x]) : larger(part_most[x], fabsf(part[x]));
        if (inside == rows - 1)
            for (ptrdiff_t x = 0; x < grid; x++) {
                *largest++ = across_largest(most + x * columns, columns);
                *parts++ = across_largest(part_most + x * wide, wide);
                *blocks++ = across_sum(part_sum + x * wide, wide) * rest;
            }
    }
    free(memory);
    return 1;
}

/* In place, for one plane of a frame: `good` and `near` stay where all three statistics are within the limits. `more`
 * is how much less strict `near` is, in levels at most, and `lapse` in parts of the limits. */
static void within(ptrdiff_t count, const float *values, const float *slack, const float *limits, const float *weave,
                   float lapse, const float *more, uint8_t *good, uint8_t *near) {
    for (int k = 0; k < 3; k++, values += count, slack += count, limits += count)
        for (ptrdiff_t i = 0; i < count; i++) {
            const float size = fabsf(values[i]), woven = slack[i] * weave[i], part = lapse * limits[i];
            good[i] &= size <= limits[i] + woven;
            near[i] &= size <= limits[i] + (part < more[k] ? part : more[k]) + woven;
        }
}

/* grids.box of `many` grids. */
EXPORT int vsapisr_hold_box(const float *grids, ptrdiff_t many, ptrdiff_t height, ptrdiff_t width, ptrdiff_t reach,
                            float *found) {
    float *wide = calloc(width + 2 * reach, sizeof *wide);
    if (!wide)
        return 0;
    for (; many--; grids += height * width)
        for (ptrdiff_t y = 0; y < height; y++, found += width) {
            float *middle = wide + reach;
            memset(middle, 0, width * sizeof *wide);
            for (ptrdiff_t k = y - reach; k <= y + reach; k++)
                if (k >= 0 && k < height)
                    for (ptrdiff_t x = 0; x < width; x++)
                        middle[x] += grids[k * width + x];
            memcpy(found, wide, width * sizeof *wide);
            for (ptrdiff_t k = 1; k <= 2 * reach; k++)
                for (ptrdiff_t x = 0; x < width; x++)
                    found[x] += wide[k + x];
        }
    free(wide);
    return 1;
}

/* motion.Products: for blocks of 2x2 the sums of the products xx, xy, yy, xd, yd, dd, and of x, y and d themselves. */
EXPORT int vsapisr_hold_products(const float *picture, const float *difference, ptrdiff_t height, ptrdiff_t width,
                                 float *sums) {
    const ptrdiff_t grid = width / 2, count = height / 2 * grid;
    float *memory = malloc(13 * width * sizeof *memory);
    if (!memory)
        return 0;
    float *x = memory, *y = x + width, *first = y + width;
    for (ptrdiff_t j = 0; j < height; j++) {
        const float *d = difference + j * width;
        gradient_row(picture, j, height, width, x, y);
        const float *const left[] = {x, x, y, x, y, d}, *const right[] = {x, y, y, d, d, d},
                           *const single[] = {x, y, d};
        for (int k = 0; k < 9; k++) {
            float *into = first + k * width;
            for (ptrdiff_t i = 0; i < width; i++) {
                const float value = k < 6 ? left[k][i] * right[k][i] : single[k - 6][i];
                into[i] = j % 2 ? into[i] + value : value;
            }
            if (j % 2)
                for (ptrdiff_t i = 0; i < grid; i++)
                    sums[k * count + j / 2 * grid + i] = into[2 * i] + into[2 * i + 1];
        }
    }
    free(memory);
    return 1;
}

/* motion.Products.shift from the sums within reach, (6, count), to the shift along x and y, what it explains and the
 * energy, (4, count). */
EXPORT void vsapisr_hold_shift(const float *sums, ptrdiff_t count, float pitch, float *found) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const float xx = sums[i] + 4.0f, xy = sums[count + i], yy = sums[2 * count + i] + 4.0f;
        const float xd = sums[3 * count + i], yd = sums[4 * count + i];
        const float area = xx * yy - xy * xy;
        const float right = (yy * xd - xy * yd) / area, down = (xx * yd - xy * xd) / area;
        found[i] = right * pitch;
        found[count + i] = down * pitch;
        found[2 * count + i] = xd * right + yd * down;
        found[3 * count + i] = sums[5 * count + i];
    }
}

/* stretches.shifts: in `good`, blocks around which a shift explains the difference do not stay; `loose` are those that
 * count, 0 or 1. `grid` blocks of 2x2 of the mean and the difference. */
static int unshifted(float *mean, const float *difference, const float *loose, const Limits *limits, ptrdiff_t rows,
                     ptrdiff_t columns, uint8_t *good) {
    const ptrdiff_t count = rows * columns;
    float *memory = malloc(20 * count * sizeof *memory);
    if (!memory)
        return 0;
    float *sums = memory, *around = sums + 9 * count, *found = around + 6 * count, *weight = found + 4 * count;
    for (ptrdiff_t i = 0; i < 4 * count; i++)
        mean[i] = mean[i] + difference[i] * 0.5f;
    int done = vsapisr_hold_products(mean, difference, 2 * rows, 2 * columns, sums);
    for (int k = 0; k < 6; k++)
        for (ptrdiff_t i = 0; i < count; i++)
            sums[k * count + i] *= loose[i];
    done = done && vsapisr_hold_box(sums, 6, rows, columns, limits->around, around);
    done = done && vsapisr_hold_box(loose, 1, rows, columns, limits->around, weight);
    if (done)
        vsapisr_hold_shift(around, count, limits->pitch, found);
    for (ptrdiff_t i = 0; done && i < count; i++) {
        const float right = found[i], down = found[count + i], explained = found[2 * count + i];
        const float part = limits->strong * limits->values[count + i], bar = part * part * 4.0f;
        const int clear = explained > limits->explained * found[3 * count + i], strong = explained > bar * weight[i];
        good[i] &= !(clear & strong & (right * right + down * down > limits->shifted));
    }
    free(memory);
    return done;
}

/* Blocks stay in `held` if the mean of those around them that do is within the limit. */
static int level(const float *blocks, const Limits *limits, float times, ptrdiff_t rows, ptrdiff_t columns,
                 uint8_t *held) {
    const ptrdiff_t count = rows * columns;
    float *memory = calloc(4 * count, sizeof *memory);
    if (!memory)
        return 0;
    float *kept = memory, *around = kept + 2 * count;
    for (ptrdiff_t i = 0; i < count; i++) {
        kept[i] = held[i] ? blocks[i] : 0;
        kept[count + i] = held[i];
    }
    const int done = vsapisr_hold_box(kept, 2, rows, columns, limits->region, around);
    for (ptrdiff_t i = 0; done && i < count; i++)
        held[i] &= fabsf(around[i]) <= times * limits->values[3 * count + i] * larger(around[count + i], 1.0f);
    free(memory);
    return done;
}

/* stretches.Places.fits: `good` begins as what is asked for. */
EXPORT int vsapisr_hold_fits(const Plane *planes, ptrdiff_t number, const float *counts, const Limits *limits,
                             uint8_t *good, uint8_t *near) {
    const ptrdiff_t rows = planes->height / planes->rows, columns = planes->width / planes->columns,
                    count = rows * columns;
    float *memory = malloc((3 * number + 9) * count * sizeof *memory);
    if (!memory)
        return 0;
    float *found = memory, *mean = found + 3 * number * count, *difference = mean + 4 * count,
          *loose = mean + 8 * count;
    int done = 1;
    for (ptrdiff_t n = 0; done && n < number; n++) {
        float *values = found + 3 * n * count;
        done = statistics(planes + n, counts, values, values + count, values + 2 * count, n ? NULL : mean,
                          n ? NULL : difference);
    }
    for (ptrdiff_t i = 0; done && i < count; i++) {
        good[i] &= counts[i] > 0;
        near[i] = good[i];
        loose[i] = good[i] && found[i] <= limits->values[i] + planes->slack[i] * limits->loose;
    }
    done = done && unshifted(mean, difference, loose, limits, rows, columns, good);
    for (ptrdiff_t n = 0; done && n < number; n++)
        within(count, found + 3 * n * count, planes[n].slack, limits->values, limits->values + 4 * count, limits->lapse,
               limits->more, good, near);
    done = done && level(found + 2 * count, limits, 1, rows, columns, good) &&
           level(found + 2 * count, limits, 1 + limits->lapse, rows, columns, near);
    free(memory);
    return done;
}
