/* The steps in the instruction set asked for. */
#include "degrade.h"

#include <stddef.h>

/* The best that can be asked for. */
/* What a caller compares with its own idea of these structures: the number, then the sizes. */
EXPORT const ptrdiff_t *vsapisr_degrade_abi(void) {
    static const ptrdiff_t facts[] = {VSAPISR_DEGRADE_ABI, sizeof(Picture), sizeof(Noise), sizeof(Axis), sizeof(Steps)};
    return facts;
}

EXPORT int vsapisr_degrade_level(void) {
    int level = processor_level();
    return level < AVX512 ? level : AVX512;
}

/* The functions for ``level``, at most vsapisr_degrade_level(); NULL for 0. */
EXPORT const Steps *vsapisr_degrade_steps(int level) {
#ifdef VSAPISR_KERNELS
    if (level == AVX512)
        return &vsapisr_steps_avx512;
    if (level == AVX2)
        return &vsapisr_steps_avx2;
#endif
    (void)level;
    return NULL;
}
