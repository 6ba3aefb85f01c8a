"""Random arguments and random clips: a right frame, or one line that begins with ``Upscale:``."""

from __future__ import annotations

import contextlib
import functools
import io
import random
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from .case import Outcome
from .networks import small_network

SIDES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 64, 65, 100, 130)
PROPERTIES = {
    "_Matrix": ("bt709", 0.5, 0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 14, 255, -1, 2**40),
    "_Range": ("full", 0, 1, 2, -5, 7),
    "_ColorRange": (0, 1, 9),
    "_ChromaLocation": (0, 1, 2, 5, 6, -1, 99),
    "_FieldBased": (0, 0, 0, 1, 2, 3, -1),
    "_PictType": ("I", "P", "B", "", "X", b"\xff\xfe", "I" * 1000),
    "_SceneChangePrev": (0, 1, -1, 2**33),
    "_Transfer": (1, 13, -7),
    "_Primaries": (1, 9, 300),
    "_SARNum": (0, 1, -3),
    "_DurationNum": (0, -1, 1001),
}


@functools.cache
def model() -> str:
    return small_network(tempfile.mkdtemp(prefix="stress-model-"))


def formats() -> list[int]:
    """Every preset that VapourSynth has, and what it can make besides: all depths and subsamplings."""
    core, found = vs.core, [int(preset) for preset in vs.PresetVideoFormat if preset]
    for bits in range(8, 33):
        for shift_w in range(5):
            for shift_h in range(5):
                with contextlib.suppress(vs.Error):
                    found.append(core.query_video_format(vs.YUV, vs.INTEGER, bits, shift_w, shift_h).id)
    for family, sample, bits in ((vs.GRAY, vs.INTEGER, 32), (vs.GRAY, vs.FLOAT, 16), (vs.RGB, vs.FLOAT, 16)):
        with contextlib.suppress(vs.Error):
            found.append(core.query_video_format(family, sample, bits, 0, 0).id)
    return sorted(set(found))


FORMATS = formats()
TAME = [int(one) for one in (vs.GRAY8, vs.GRAY16, vs.GRAYS, vs.GRAYH, vs.RGB24, vs.RGB30, vs.RGBS, vs.RGBH, vs.YUV420P8,
        vs.YUV420P10, vs.YUV422P8, vs.YUV444P16, vs.YUV444PS, vs.YUV420P16, vs.YUV410P8, vs.YUV440P8)]  # fmt: skip


def nonsense(rng: random.Random) -> Any:
    """A value of any kind, as people and programs pass them."""
    return rng.choice(
        [0, 1, -1, 2**31 - 1, 2**31, -(2**63), 2**63 - 1, 0.5, -0.0, float("nan"), float("inf"), 1e300, "", "auto",
         b"\xff\xfe\x00", b"", "x" * 100000, "ファイル.pth", "../..", "/", "\udcff", [], [8, 8, 8], True, None]
    )  # fmt: skip


def arguments(rng: random.Random) -> dict[str, Any]:
    """Some are good, some nearly, some nonsense."""
    likely = {
        "model": lambda: rng.choice([model(), model(), model(), "default", "missing", "/dev/null", "/", "a\nb"]),
        "format": lambda: rng.choice([*FORMATS, 0, -1, 12345, 2**40]),
        "tilesize": lambda: rng.choice([0, 8, 16, 24, 64, [64, 48], [128, 8], 20, -8, [0, 0], [64, 0], 2**20]),
        "overlap": lambda: rng.choice([0, 8, 16, 3, -8, 512]),
        "reuse": lambda: rng.choice([0, 1, 2, 2, 3, -1]),
        "threshold": lambda: rng.choice([0, 0.5, 1, 4, 16, 17, -1, float("nan")]),
        "interval": lambda: rng.choice([1, 2, 16, 64, 65, 0]),
        "cache": lambda: rng.choice([0, 1, 64, -1, 2**40]),
        "guard": lambda: rng.choice([0, 1, 2]),
        "device": lambda: rng.choice(["cpu", "cpu", "auto", "cuda", "cuda:7", "cpu:1", "tpu", ""]),
        "precision": lambda: rng.choice(["auto", "fp32", "fp16", "bf16", "int8"]),
        "batch": lambda: rng.choice([0, 1, 3, 64, 65, -1]),
        "num_streams": lambda: rng.choice([0, 1, 2, 16, 17, -1]),
        "unknown": lambda: 1,
    }
    good = {
        "tilesize": lambda: rng.choice([0, 24, 32, 64, [64, 48]]),
        "overlap": lambda: rng.choice([0, 8]),
        "reuse": lambda: rng.choice([0, 1, 2]),
        "format": lambda: rng.choice(TAME),
        "threshold": lambda: rng.choice([0, 1, 4, 16]),
        "interval": lambda: rng.choice([1, 2, 16, 64]),
        "cache": lambda: rng.choice([0, 1, 64]),
        "precision": lambda: rng.choice(["auto", "fp32", "bf16"]),
        "batch": lambda: rng.choice([0, 1, 3]),
        "guard": lambda: rng.choice([0, 1]),
    }
    sane = rng.random() < 0.7
    chosen = rng.sample(sorted(good if rng.random() < 0.6 else likely), rng.randint(0, 4))
    likely |= good if sane else {}
    made = {name: nonsense(rng) if not sane and rng.random() < 0.4 else likely[name]() for name in chosen}
    made.setdefault("model", model())
    return {name: value for name, value in made.items() if value is not None}


def clip_of(rng: random.Random) -> tuple[vs.VideoNode, str]:
    """A short clip of noise in any format and of any size, with properties that are missing or absurd."""
    tame = rng.random() < 0.7  # or nearly nothing would get beyond the checks
    format = vs.core.get_video_format(rng.choice(TAME if tame else FORMATS))
    width, height = rng.choice(SIDES), rng.choice(SIDES)
    if rng.random() < 0.02:
        width, height = rng.choice([(8192, 16), (16, 8192), (4096, 1), (1, 4096)])
    width += -width % (1 << format.subsampling_w)
    height += -height % (1 << format.subsampling_h)
    blank = vs.core.std.BlankClip(format=format.id, width=width, height=height, length=rng.randint(1, 4), keep=True)
    seed, wild = rng.randrange(2**32), rng.random() < 0.3

    def drawn(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame, noise = f.copy(), np.random.default_rng([seed, n // 2])
        for plane in frame:
            fill(np.asarray(plane), format, noise, wild)
        return frame

    clip = blank.std.ModifyFrame(blank, drawn)
    properties = {
        name: rng.choice(values) for name, values in PROPERTIES.items() if rng.random() < (0.02 if tame else 0.25)
    }
    if "_Range" in properties:  # another name of the same
        properties.pop("_ColorRange", None)
    if properties:
        clip = clip.std.SetFrameProps(**properties)
    return clip, f"{format.name} {width}x{height} {properties or ''}".strip()


def fill(plane: np.ndarray, format: vs.VideoFormat, noise: np.random.Generator, wild: bool) -> None:
    """Noise; ``wild``: with infinity, what is no number, and integers that the depth does not have."""
    if format.sample_type == vs.FLOAT:
        plane[:] = noise.normal(0.5, 0.5, plane.shape)
        if wild:
            chosen = noise.random(plane.shape) < 0.1
            plane[chosen] = noise.choice([np.nan, np.inf, -np.inf, 6e4, -6e4], int(chosen.sum()))
    else:
        top = np.iinfo(plane.dtype).max if wild else (1 << format.bits_per_sample) - 1
        plane[:] = noise.integers(0, top, plane.shape, plane.dtype, endpoint=True)


def attempt(clip: vs.VideoNode, given: dict[str, Any], numbers: list[int]) -> tuple[str, str]:
    """(kind, failure) of calling the filter and asking for frames."""
    try:
        node = clip.apisr.Upscale(**given)
    except (TypeError, ValueError, OverflowError, UnicodeError) as error:  # the Python binding's own refusal
        return "binding", "" if "\n" not in str(error) else f"lines in {error!r}"
    except vs.Error as error:
        return "refused", check_words(str(error))
    target = vs.core.get_video_format(given["format"]) if given.get("format") else clip.format
    for n in numbers:
        try:
            frame = node.get_frame(n)
        except vs.Error as error:
            return "refused frame", check_words(str(error))
        if (frame.width, frame.height, frame.format.id) != (4 * clip.width, 4 * clip.height, target.id):
            return "frame", f"{frame.width}x{frame.height} {frame.format.name}"
        frame.close()
    return "frame", ""


def check_words(text: str) -> str:
    """What is wrong with an error's text; empty: it is one line of ours or of the core's on arguments."""
    ours = text.startswith("Upscale: ")
    core = any(words in text for words in ("does not take argument", "wrong type", "not compatible", "Upscale:"))
    if not ours and not core:
        return f"not in our words: {text[:300]!r}"
    if "\n" in text.strip() or "Traceback" in text:
        return f"more than a line: {text[:300]!r}"
    if len(text) > 1000:
        return f"{len(text)} characters: {text[:200]!r}"
    return ""


def case(rng: random.Random, folder: Path) -> Outcome:
    """One set of arguments on one clip; warnings and words on the console count as failures."""
    clip, words = clip_of(rng)
    given = arguments(rng)
    numbers = [rng.randrange(clip.num_frames) for _ in range(rng.randint(1, 3))]
    shown = {
        name: f"{value[:20]}... ({len(value)})" if len(str(value)) > 60 else value for name, value in given.items()
    }
    console = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stderr(console):
        warnings.simplefilter("always")
        kind, failure = attempt(clip, given, numbers)
    if not failure and caught:
        failure = f"a warning on the user's console: {caught[0].message}"
    words_said = [line for line in console.getvalue().splitlines() if "has no effect" not in line]
    if not failure and words_said:
        failure = f"words on the user's console: {words_said[:3]}"
    return Outcome(f"{words}, Upscale({shown}), frames {numbers}", failure, kind=kind)
