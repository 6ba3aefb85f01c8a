"""Does memory stay flat? Frames and filters by the hundred, with the resident memory after each tenth.

python -m scripts.soak [--frames 1000] [--filters 50] [--size 320x180] [--reuse 1] [--model FILE]: every other frame is
new noise, so that the caches of reuse fill, are used and are emptied again. Without a model a small random network is
used, so that a thousand frames take minutes on a CPU; frames, planes and tiles are as large as with a real one.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from pathlib import Path

import numpy as np
import psutil
import torch
import vapoursynth as vs
from safetensors.torch import save_file

from scripts.bench.network import parse_sizes
from train.media.progress import Progress
from vsapisr.networks.grl import GRL, GRLConfig
from vsapisr.weights.hidden import described


def small_network(folder: str) -> str:
    """A network of the same kind, a twentieth of the size."""
    path = Path(folder) / "small.safetensors"
    network = GRL(GRLConfig(dim=16, depths=(1,), mlp_dim=16, bias_dim=16))
    save_file(network.state_dict(), path, metadata=described(network.config))
    return str(path)


def resident() -> float:
    """MB."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def held_noise(width: int, height: int, frames: int) -> vs.VideoNode:
    """Noise that changes every other frame."""

    def drawn(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame, rng = f.copy(), np.random.default_rng(n // 2)
        for plane in frame:
            plane = np.asarray(plane)
            plane[:] = rng.integers(16, 236, plane.shape, np.uint8)
        return frame

    blank = vs.core.std.BlankClip(width=width, height=height, format=vs.YUV420P8, length=frames, keep=True)
    return blank.std.ModifyFrame(blank, drawn)


def soak(frames: int, filters: int, model: str, size: tuple[int, int] = (320, 180), reuse: int = 1) -> list[float]:
    """Resident memory after each tenth of the work."""
    clip = held_noise(*size, frames)
    node = clip.apisr.Upscale(model=model, device="cpu", reuse=reuse)
    progress, seen = Progress("soak", frames, "frames"), []
    for tenth in range(10):
        for n in range(frames * tenth // 10, frames * (tenth + 1) // 10):
            node.get_frame(n)
            progress.to(n + 1)
        for _ in range(filters // 10):
            clip.apisr.Upscale(model=model, device="cpu").get_frame(0)
        seen.append(resident())
    progress.close()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--filters", type=int, default=50)
    parser.add_argument("--size", type=parse_sizes, default="320x180", help="of the source (%(default)s)")
    parser.add_argument("--reuse", type=int, default=1)
    parser.add_argument("--model")
    options = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or small_network(folder)
        seen = soak(options.frames, options.filters, model, options.size[0], options.reuse)
    print("MB after each tenth:", ", ".join(f"{value:.0f}" for value in seen))
    print(f"growth after the first fifth: {100 * (seen[-1] / seen[1] - 1):.1f}%")


if __name__ == "__main__":
    main()
