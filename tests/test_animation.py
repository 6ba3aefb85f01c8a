"""Animated pictures through ``vsapisr upscale``: all frames, their times, their loops, what is transparent."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw

from vsapisr.cli.metadata import chunks

from .test_cli import expected, model, upscale  # the small network that is saved for a test

TIMES = [70, 100, 2000, 30, 50]


def drawn(n: int, clear: bool = False) -> Image.Image:
    image = Image.new("RGBA", (48, 32), (0, 0, 0, 0) if clear else (200, 220, 255, 255))
    ImageDraw.Draw(image).ellipse((5 + 2 * n, 5, 25 + 2 * n, 25), fill=(220, 40, 40, 255), outline=(0, 0, 0, 255))
    return image


def saved(path: Path, clear: bool = False, mode: str = "RGBA", **options: object) -> Path:
    first, *others = [drawn(n, clear).convert(mode) for n in range(len(TIMES))]
    first.save(path, save_all=True, append_images=others, **{"duration": TIMES} | options)
    return path


def loaded(path: Path) -> tuple[list[np.ndarray], list[int], int | None]:
    """(frames, milliseconds of each, loops)."""
    with Image.open(path) as image:
        frames, times = [], []
        for n in range(image.n_frames):
            image.seek(n)
            image.load()
            frames.append(np.asarray(image))
            times.append(round(image.info["duration"]))
        return frames, times, image.info.get("loop")


@pytest.mark.parametrize(
    ("name", "options", "loops"),
    [
        ("a.gif", {"mode": "P", "loop": 0}, 0),
        ("a.gif", {"mode": "P", "loop": 2}, 3),  # once, and twice again
        ("a.gif", {"mode": "P"}, 1),
        ("a.webp", {"lossless": True, "loop": 4}, 4),
        ("a.png", {"loop": 0}, 0),
        ("a.avif", {"quality": 100, "subsampling": "4:4:4"}, 0),
    ],
)
def test_every_frame_is_enlarged_and_keeps_its_time(model, tmp_path, name, options, loops):
    source = saved(tmp_path / name, **options)
    result = upscale(model, source, "--tilesize", "48x32", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert f"{source} -> {tmp_path / 'out/a_4x.png'}, 5 frames of 48x32 -> 192x128" in result.stderr
    frames, times, said = loaded(tmp_path / "out/a_4x.png")
    assert times == TIMES and said == loops
    with Image.open(source) as image:
        for n, frame in enumerate(frames):
            image.seek(n)
            assert np.array_equal(frame, expected(np.asarray(image.convert("RGB")), model, tilesize=(48, 32)))


def test_what_is_transparent_stays_so(model, tmp_path):
    source = saved(tmp_path / "a.webp", clear=True, lossless=True)
    upscale(model, source)
    frames, times, _ = loaded(tmp_path / "a_4x.png")
    assert times == TIMES
    with Image.open(source) as image:
        for n, frame in enumerate(frames):
            image.seek(n)
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
            assert np.array_equal(frame[..., 3], cv2.resize(alpha, (192, 128), interpolation=cv2.INTER_LANCZOS4))


def test_grey_profile_and_words_are_kept(model, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = saved(tmp_path / "a.png", mode="L", icc_profile=profile, dpi=(300, 300))
    upscale(model, source)
    with Image.open(tmp_path / "a_4x.png") as image:
        assert (image.mode, image.n_frames, image.info["icc_profile"]) == ("L", 5, profile)
        assert round(image.info["dpi"][0]) == 300
    names = [name for name, _ in chunks((tmp_path / "a_4x.png").read_bytes())]
    assert names.count(b"pHYs") == names.count(b"acTL") == 1


def test_a_picture_before_the_animation_is_no_frame(model, tmp_path):
    source = saved(tmp_path / "a.png", default_image=True, duration=TIMES[1:])
    upscale(model, source)
    frames, times, _ = loaded(tmp_path / "a_4x.png")
    assert len(frames) == 4 and times == TIMES[1:]


def test_fewer_frames_and_another_size(model, tmp_path):
    source = saved(tmp_path / "a.gif", mode="P")
    result = upscale(model, source, "--frames", 2, "--size", "2x")
    assert result.exit_code == 0, result.output
    frames, times, _ = loaded(tmp_path / "a_2x.png")
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 2 and times == TIMES[:2]


@pytest.mark.parametrize("kind", ["webp", "gif", "png", "avif"])
def test_one_that_is_cut_off_is_a_line_and_nothing_is_written(model, tmp_path, kind):
    source = saved(tmp_path / f"a.{kind}")
    data = source.read_bytes()
    source.write_bytes(data[: 2 * len(data) // 3])
    result = upscale(model, source)
    assert result.exit_code == 1 and f"vsapisr: {source} " in result.stderr and "Traceback" not in result.output
    assert [path.name for path in tmp_path.iterdir() if "_4x" in path.name] == []
