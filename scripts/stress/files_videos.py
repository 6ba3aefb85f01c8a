"""Videos that are cut off or changed, into ``curate``, ``evaluate`` and ``vsapisr upscale``."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from pathlib import Path

from .case import Outcome
from .damage import asked, damaged, special
from .fixtures import CODECS, small, video

__all__ = ["videos"]


def curated(path: Path, folder: Path) -> None:
    """The good video beside it is read, and named what became of this one."""
    from train.curation.config import CurateConfig
    from train.curation.curate import curate
    from train.settings import build

    shutil.copy(video("ffv1.mkv"), path.parent / "whole.mkv")
    values = {"videos": str(path.parent), "out": str(folder / "out"), "height": 64, "threads": 1,
              "selection": {"topk": 2, "minimum_side": 16}}  # fmt: skip
    report = curate(build(CurateConfig, values))
    assert not any(name.endswith("whole.mkv") for name in report.refused), "the good one is refused"
    assert report.scanned + len(report.refused) == report.videos, str(report)
    assert all("\n" not in reason and "Traceback" not in reason for reason in report.refused.values()), report.refused


def measured(path: Path, folder: Path) -> None:
    from train.evaluation.config import EvaluateConfig
    from train.evaluation.footage import length, material, shots

    config = EvaluateConfig(source=str(path), models=(), metrics=(), frames=8)
    for one, gt in material(config):
        length(path, 8)
        for shot in shots(one, gt, 0, "given", config):
            assert shot.small.shape[2] == 3


def upscaled(path: Path, folder: Path) -> None:
    from vsapisr.config import UpscaleConfig
    from vsapisr.video.run import upscale_video
    from vsapisr.video.settings import VideoSettings

    config = UpscaleConfig(model=str(small()), device="cpu")
    settings = VideoSettings(upscale=config, encoder="libx264", preset="ultrafast", chunk=0.2)
    target = folder / "large.mkv"
    try:
        upscale_video(path, target, settings)
    except Exception:
        assert not target.exists(), "half a video under its final name"
        raise
    assert target.stat().st_size


def videos(rng: random.Random, folder: Path) -> Outcome:
    """One video, one reader."""
    name = rng.choice(sorted(CODECS))
    source = folder / "videos"
    source.mkdir()
    path = source / f"hostile{Path(name).suffix}"
    if rng.random() < 0.03:
        words = special(path, rng)
    else:
        words = name
        path.write_bytes(damaged(video(name).read_bytes(), rng))
    run = rng.choice([curated, measured, upscaled])
    with contextlib.redirect_stderr(io.StringIO()):
        result, failure = asked(lambda: run(path, folder), "" if run is curated else path.name)
    return Outcome(f"video, {words}, {run.__name__}", failure, kind=f"video {result}")
