"""The network on CUDA devices, with kernels in Triton."""
