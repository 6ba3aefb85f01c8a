/* How a whole picture differs from the one before, as in vsapisr/reuse/motion.py. */
#include "hold.h"

#include <stdlib.h>
#include <string.h>

enum { XX, XY, YY, XD, YD, DD, X, Y, D, SUMS };

/* The value that `rank` of `count` values are before; they are put in order around it. */
static float ranked(float *values, ptrdiff_t count, ptrdiff_t rank) {
    ptrdiff_t low = 0, high = count - 1;
    while (low < high) {
        const float pivot = values[low + (high - low) / 2];
        ptrdiff_t i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i <= j) {
                const float other = values[i];
                values[i++] = values[j];
                values[j--] = other;
            }
        }
        if (rank <= j)
            high = j;
        else if (rank >= i)
            low = i;
        else
            break;
    }
    return values[rank];
}

static float median(const float *values, ptrdiff_t count, float *scratch) {
    memcpy(scratch, values, count * sizeof *values);
    const float upper = ranked(scratch, count, count / 2);
    if (count % 2)
        return upper;
    float lower = scratch[0];
    for (ptrdiff_t i = 1; i < count / 2; i++)
        lower = larger(lower, scratch[i]);
    return (lower + upper) / 2.0f;
}

/* To six decimals, half to even; without libm, for less than 2^51. */
static double rounded(double value) {
    volatile double whole = value * 1e6 + 6755399441055744.0;
    return (whole - 6755399441055744.0) / 1e6;
}

/* motion.solved: of the normal equations that the sums are. */
static void solved(const double *s, double number, double *way) {
    const double a = s[XX] + 1e-3, b = s[XY], c = s[X], f = number + 1e-3;
    const double below = b / a, last = c / a;
    const double d = s[YY] + 1e-3 - below * b, e = s[Y] - below * c, q = s[YD] - below * s[XD];
    const double third = e / d, offset = (s[D] - last * s[XD] - third * q) / (f - last * c - third * e);
    const double down = (q - e * offset) / d, right = (s[XD] - b * down - c * offset) / a;
    way[0] = rounded(right), way[1] = rounded(down), way[2] = rounded(offset);
}

/* What the shift leaves of the energy of each block. */
static void remains(const float *sums, ptrdiff_t count, const double *way, float *left) {
    const double right = way[0], down = way[1], offset = way[2];
    const float rr = (float)(right * right), dd = (float)(down * down), oo = (float)(4.0 * (offset * offset));
    const float rd = (float)(2.0 * right * down), r = (float)right, d = (float)down, o = (float)offset;
    const float ro = (float)(right * offset), od = (float)(down * offset);
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *s = sums + i;
        const float first = s[DD * count] + rr * s[XX * count] + dd * s[YY * count] + oo + rd * s[XY * count];
        const float second =
            r * s[XD * count] + d * s[YD * count] + o * s[D * count] - ro * s[X * count] - od * s[Y * count];
        left[i] = larger(first - 2.0f * second, 0.0f);
    }
}

/* motion.step from the sums of vsapisr_hold_products: `way` gets the shift in values along x and y and the offset,
 * `rest` the median of what is left of the energy. */
EXPORT int vsapisr_hold_step(const float *sums, ptrdiff_t count, double *way, float *rest) {
    float *left = malloc(2 * count * sizeof *left);
    if (!left)
        return 0;
    float bar = 0;
    for (int again = 0; again < 4; again++) {
        double s[SUMS] = {0};
        ptrdiff_t number = 0;
        for (ptrdiff_t i = 0; i < count; i++)
            if (again == 0 || left[i] <= bar) {
                number++;
                for (int k = 0; k < SUMS; k++)
                    s[k] += sums[k * count + i];
            }
        solved(s, 4.0 * (double)number, way);
        remains(sums, count, way, left);
        *rest = median(left, count, left + count);
        bar = 4.0f * *rest + 0.4f;
    }
    free(left);
    return 1;
}
