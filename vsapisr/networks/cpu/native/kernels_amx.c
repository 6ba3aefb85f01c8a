#include "native.h"

#ifdef VSAPISR_AMX_KERNELS
#define VSAPISR_AVX512_BF16
#define VSAPISR_AMX
#define WORKSPACE vsapisr_workspace_amx
#define RUN vsapisr_run_amx
#include "run.h"
#endif
