#include "native.h"

#ifdef VSAPISR_KERNELS
#define VSAPISR_AVX512_BF16
#define WORKSPACE vsapisr_workspace_avx512_bf16
#define RUN vsapisr_run_avx512_bf16
#include "run.h"
#endif
