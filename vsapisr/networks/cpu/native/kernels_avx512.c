#include "native.h"

#ifdef VSAPISR_KERNELS
#define VSAPISR_AVX512
#define WORKSPACE vsapisr_workspace_avx512
#define RUN vsapisr_run_avx512
#include "run.h"
#endif
