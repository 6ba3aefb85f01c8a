/* What reuse=2 looks at (vsapisr/reuse), for any processor: the same operations on the same numbers in the same order as
 * in NumPy, so that the results are equal bit for bit. Nothing here may be contracted to fused operations
 * or reordered. */
#ifndef VSAPISR_HOLD_H
#define VSAPISR_HOLD_H

#include "processor.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

static inline float larger(float a, float b) {
    return a > b ? a : b;
}

#endif
