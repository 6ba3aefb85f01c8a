#include "native.h"

#ifdef VSAPISR_KERNELS
#define VSAPISR_AVX2
#define WORKSPACE vsapisr_workspace_avx2
#define RUN vsapisr_run_avx2
#include "run.h"
#endif
