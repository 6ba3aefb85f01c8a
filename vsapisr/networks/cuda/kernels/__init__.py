"""Triton kernels of the network for CUDA devices. Importing a module of this package needs Triton; this file does
not.
"""
