"""Training within minutes on a machine that has PyTorch, Pillow and a GPU: see :mod:`scripts.gpu_day`."""
