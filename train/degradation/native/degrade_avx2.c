#include "degrade.h"

#ifdef VSAPISR_KERNELS
#define VSAPISR_AVX2
#define STEPS vsapisr_steps_avx2
#include "steps.h"
#endif
