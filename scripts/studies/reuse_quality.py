"""What ``reuse=2`` does to pictures of worn clips, beside what there is to gain at most.

python -m scripts.studies.reuse_quality [--wears NAME ...] [--shot talk] [--frames 16] [--height 144] [--out FILE]

PSNR of the luma against the drawings in the final size, and flicker: the mean change of luma from frame to frame, in
levels of 255, where the drawing holds still. The same clip without grain, weave and flicker, but with its codecs, shows
what whoever took all of the grain away could reach.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import vapoursynth as vs

from scripts.bench.reuse import grey, psnr
from scripts.bench.timing import table
from scripts.cel import SHOTS, Painter
from scripts.worn import WEARS, Wear, wear
from train.evaluation.flicker import BLOCK, held
from vsapisr.config import SCALE
from vsapisr.libav import url


def clip(path: Path, clean: list[np.ndarray], worn: Wear) -> vs.VideoNode:
    wear(path, clean, worn)
    return vs.core.bs.VideoSource(url(path), cachepath=str(path.with_suffix("")))


def measured(enlarged: vs.VideoNode, wanted: list[np.ndarray], still: list[np.ndarray]) -> dict[str, float]:
    """``wanted``: luma of the drawings in the final size; ``still``: of each two frames, blocks of the source that show
    one drawing."""
    luma = [np.asarray(frame[0]).astype(np.float32) for frame in enlarged.frames()]
    moves = []
    for (before, after), blocks in zip(pairwise(luma), still):
        mask = np.kron(blocks, np.ones((BLOCK * SCALE,) * 2)).astype(bool)
        change = np.abs(after - before)[: mask.shape[0], : mask.shape[1]]
        moves.append(float(change[mask].mean()))
    return {"psnr": statistics.fmean(map(psnr, luma, wanted)), "flicker": statistics.fmean(moves)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.studies.reuse_quality", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--wears", nargs="+", default=list(WEARS), choices=WEARS)
    parser.add_argument("--shot", default="talk", choices=SHOTS)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--height", type=int, default=144, help="a multiple of 18")
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    small, large = (Painter(options.height * scale) for scale in (1, SCALE))
    clean = [small.frame(options.shot, n) for n in range(options.frames)]
    wanted = [grey(large.frame(options.shot, n)) for n in range(options.frames)]
    still = [held(before, after) for before, after in pairwise(clean)]
    whole = {"reuse": 0, "tilesize": [-(-side // 8) * 8 for side in clean[0].shape[1::-1]]}
    found: dict[str, dict] = {}
    for name in options.wears:
        worn = WEARS[name]
        bare = replace(worn, grain=0.0, coarse=0.0, weave=0.0, flicker=0.0)
        with tempfile.TemporaryDirectory() as folder:
            source, best = (clip(Path(folder, f"{n}.mkv"), clean, one) for n, one in enumerate((worn, bare)))
            found[name] = {
                form: measured(node.apisr.Upscale(model=options.model, **given), wanted, still)
                for form, node, given in (
                    ("whole", source, whole), ("reuse=2", source, {"reuse": 2}), ("no grain", best, whole),
                )
            }  # fmt: skip
        print(name, found[name], flush=True)
    titles = {"psnr": ".2f", "flicker": ".3f"}
    rows = [
        [name, *(", ".join(f"{one[k]:{f}}" for k, f in titles.items()) for one in found[name].values())]
        for name in found
    ]
    print(table(["PSNR-Y dB, flicker", "whole frames", "reuse=2", "without grain"], rows))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    vs.clear_outputs()


if __name__ == "__main__":
    main()
