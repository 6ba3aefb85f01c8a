"""Hostile and damaged files: weights, pictures, videos, and what the steps and the episodes keep on disk.

No code of theirs runs, memory and time stay bounded, one line names the file, nothing outside is touched.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from .case import Outcome
from .damage import asked, special
from .files_kept import kept
from .files_pictures import pictures
from .files_videos import videos
from .fixtures import small
from .hostile import hostile


def readers_of_weights() -> dict[str, Callable[[Path], object]]:
    import vsapisr
    from train.export.export import read_source
    from train.fit import checkpoint
    from train.losses import files as features
    from vsapisr.cli import info
    from vsapisr.weights import files

    return {
        "info": lambda path: [list(info.inside(str(path), raw)) for raw in (False, True)],
        "weights.load": files.load,
        "load_model": lambda path: vsapisr.load_model(str(path)),
        "checkpoint.load": checkpoint.load,
        "export": lambda path: read_source(str(path)),
        "features vgg": lambda path: features.read("vgg", path),
        "features resnet": lambda path: features.read("resnet", path),
    }


def weights(rng: random.Random, folder: Path) -> Outcome:
    marker = folder / "ran"
    if rng.random() < 0.06:
        path = folder / "hostile.pth"
        style = special(path, rng)
    else:
        style, path = hostile(rng, folder, small(), marker)
    name, read = rng.choice(sorted(readers_of_weights().items()))
    kind, failure = asked(lambda: read(path), path.name)
    if marker.exists():
        failure = f"the file's code ran, in {name}"
    return Outcome(f"weights, {style}, {path.name} ({path.lstat().st_size} bytes), {name}", failure,
                   kind=f"weights {kind}")  # fmt: skip


SHARES = ((weights, 0.42), (pictures, 0.38), (kept, 0.12), (videos, 0.08))


def case(rng: random.Random, folder: Path) -> Outcome:
    """One file, one reader."""
    (part,) = rng.choices([one for one, _ in SHARES], [share for _, share in SHARES])
    return part(rng, folder)
