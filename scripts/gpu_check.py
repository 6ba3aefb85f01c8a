"""One command for whoever has a CUDA device: is it right, and how fast is it?

python -m scripts.gpu_check [--out FOLDER] [--runs N]: writes gpu_check.json and gpu_check.txt there. Exit status 0: right,
1: something is wrong, 2: no CUDA device.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path

import numpy as np
import torch

from vsapisr import upscale_image, weights
from vsapisr.networks.grl import GRL
from vsapisr.networks.grl_inference import GRLInference

SIZES = ((64, 64), (72, 40), (37, 53), (1, 1), (480, 272))  # (height, width)
LARGEST = {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.05}
"""Accepted largest difference from the fp32 reference on the CPU, of full scale 1."""


def network_rows(grl: GRL) -> list[dict[str, object]]:
    """The inference form on the device against the readable network on the CPU, on noise and on a smooth ramp."""
    rows = []
    for height, width in SIZES:
        generator = torch.Generator().manual_seed(height * width)
        noise = torch.rand(1, 3, height, width, generator=generator)
        image = 0.5 * noise + 0.5 * torch.linspace(0, 1, width)
        with torch.inference_mode():
            wanted = grl(image)
        for dtype, largest in LARGEST.items():
            form = GRLInference(grl, dtype).cuda()
            error = (form(image.cuda().to(dtype)).float().cpu() - wanted).abs()
            rows.append({"check": f"{width}x{height} {str(dtype)[6:]}", "value": error.max().item(), "accepted": largest,
                         "right": bool(torch.isfinite(error).all() and error.max() <= largest)})
    return rows


def company_rows(grl: GRL) -> list[dict[str, object]]:
    """A tile's numbers must not depend on its place in a batch or on what else is in it: difference exactly 0."""
    form = GRLInference(grl, torch.float16).cuda()
    tiles = torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(1)).cuda().half()
    with torch.inference_mode():
        whole, turned = form(tiles), form(tiles.roll(1, 0))
        padded = form(torch.cat((tiles[:1], torch.zeros_like(tiles[1:]))))
    rows = []
    for name, difference in (("place in the batch", whole.roll(1, 0) - turned), ("company", whole[:1] - padded[:1])):
        worst = difference.abs().max().item()
        rows.append({"check": f"fp16 batch of 4: {name}", "value": worst, "accepted": 0.0, "right": worst == 0})
    return rows


def filter_rows() -> list[dict[str, object]]:
    """Whole images through the engine with the shipped weights, device against CPU, of 255."""
    image = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    smooth = np.repeat(np.repeat(image[::10, ::10], 10, 0), 10, 1)
    wanted = upscale_image(smooth, device="cpu").astype(int)
    rows = []
    for precision, accepted in (("fp32", 1), ("fp16", 3)):
        for tilesize in ((), (96, 64)):
            got = upscale_image(smooth, device="cuda", precision=precision, tilesize=tilesize)
            untiled = wanted if not tilesize else upscale_image(smooth, device="cpu", tilesize=tilesize).astype(int)
            worst = int(np.abs(got - untiled).max())
            rows.append({"check": f"upscale_image {precision} {'tiled' if tilesize else 'whole'}", "value": worst,
                         "accepted": accepted, "right": worst <= accepted})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu_check", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"no CUDA device (torch {torch.__version__})", file=sys.stderr)
        return 2
    from scripts.benchmarks import network, network_gpu
    from scripts.benchmarks.measure import machine

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    grl = weights.load(weights.find("default"))
    checks = network_rows(copy.deepcopy(grl)) + company_rows(grl) + filter_rows()
    lines = [f"{'ok   ' if row['right'] else 'WRONG'} {row['check']}: {row['value']:.3g} (at most {row['accepted']:.3g})" for row in checks]
    print("\n".join(lines))
    speed = network_gpu.measure([(256, 256), (854, 480), (1280, 720)], options.runs)
    lines.append(network.show(speed))
    print(lines[-1])
    options.out.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "checks": checks, "network": speed}
    (options.out / "gpu_check.json").write_text(json.dumps(report, indent=1, default=str), encoding="utf-8")
    (options.out / "gpu_check.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if all(row["right"] for row in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
