"""The network on the CPU through the compiled kernels in ``native``."""
