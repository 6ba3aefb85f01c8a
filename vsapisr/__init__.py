"""APISR anime upscaling for VapourSynth: ``core.apisr.Upscale(clip)``. Importing this does not import torch."""

__version__ = "0.1.0"
