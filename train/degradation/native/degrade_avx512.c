#include "degrade.h"

#ifdef VSAPISR_KERNELS
#define VSAPISR_AVX512
#define STEPS vsapisr_steps_avx512
#include "steps.h"
#endif
