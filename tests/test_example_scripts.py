"""The scripts in docs/: by the real vspipe, on short videos of real codecs. Names of files and numbers of frames and
lines in them are replaced by those of the videos, nothing else."""

from __future__ import annotations

import os
import runpy
import subprocess
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import vapoursynth as vs

from train.export.export import ExportConfig, export
from vsapisr.video.clip import from_script

from .clips import drawing, write_clip

vsscale = pytest.importorskip("vsscale", reason="vsjetpack is not installed, or not for this system")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

pytestmark = pytest.mark.timeout(1200)  # six processes that load PyTorch, before the first test of them
core = vs.core
DOCS = Path(__file__).parents[1] / "docs"
CHANGES = {
    "plain": {},
    "range": {"2157, 4315": "1, 2"},
    "descale": {"height, kernel = 720": "height, kernel = 64"},
    "models": {},
    "dvd": {},
    "master": {"height, kernel = 720, Bilinear": "height, kernel = 64, Catrom", "import Bilinear": "import Catrom"},
}
"""Script: what is replaced in it."""
FRAMES = 3


def native(width: int = 96, height: int = 64) -> vs.VideoNode:
    """A drawing, YUV 4:2:0."""
    picture = drawing(3, width, height)
    frame = core.std.BlankClip(None, width, height, vs.RGB24, 1)

    def filled(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        made = f.copy()
        for channel in range(3):
            np.copyto(np.asarray(made[channel]), picture[..., channel])
        return made

    return frame.std.ModifyFrame(frame, filled).resize.Bicubic(format=vs.YUV420P8, matrix=6)


def rgb(clip: vs.VideoNode) -> np.ndarray:
    with clip.resize.Bicubic(format=vs.RGB24, matrix_in=6).get_frame(0) as frame:
        return np.stack([np.array(plane) for plane in frame], -1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, each beside the video that it names."""
    made = tmp_path_factory.mktemp("scripts")
    lossless = {"options": {"qp": "0", "x264-params": "log-level=none"}}
    write_clip(made / "ep01.mkv", [np.roll(drawing(3, 96, 64), 4 * n, 1) for n in range(FRAMES)], colorspace=6)
    master = rgb(native().resize.Bicubic(192, 128, filter_param_a=0, filter_param_b=0.5))
    write_clip(made / "master.mkv", [master] * FRAMES, colorspace=6, **lossless)
    fields = {"options": {"x264-params": "tff=1:log-level=none"}, "sample_aspect_ratio": Fraction(8, 9)}
    write_clip(made / "dvd.mkv", [np.roll(drawing(3, 96, 64), 8 * n, 1) for n in range(FRAMES)], colorspace=6, **fields)
    for name, changes in CHANGES.items():
        text = (DOCS / "scripts" / f"{name}.vpy").read_text(encoding="utf-8")
        for old, new in changes.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        (made / f"{name}.vpy").write_text(text, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def piped(folder: Path) -> dict[str, Path]:
    """Name of a script: what vspipe wrote of its output 0."""
    scripts = sysconfig.get_path("scripts")
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"], "XDG_CONFIG_HOME": str(folder)}

    def run(name: str) -> Path:
        target = folder / f"{name}.y4m"
        command = [str(Path(scripts, "vspipe")), "-c", "y4m", f"{name}.vpy", str(target)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (name, done.stderr)
        return target

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(CHANGES, threads.map(run, CHANGES)))


def luma(path: Path) -> Iterator[np.ndarray]:
    """(H, W) of every frame."""
    with av.open(path) as stream:
        for frame in stream.decode(video=0):
            kind = np.uint16 if "10" in frame.format.name else np.uint8
            yield np.frombuffer(frame.planes[0], kind).reshape(frame.height, -1)[:, : frame.width]


def expected(clip: vs.VideoNode) -> list[np.ndarray]:
    return [np.array(frame[0]) for frame in clip.frames(close=True)]


def source(folder: Path, name: str = "ep01.mkv") -> vs.VideoNode:
    return core.bs.VideoSource(str(folder / name), cachemode=0)


def test_every_script_is_run_and_listed() -> None:
    names = {path.stem for path in (DOCS / "scripts").iterdir()}
    assert names == set(CHANGES)
    page = (DOCS / "scripts.md").read_text(encoding="utf-8")
    assert all(f"](scripts/{name}.vpy)" in page for name in names) and "](vs_mlrt.vpy)" in page


def test_plain_is_the_filter(folder: Path, piped: dict[str, Path]) -> None:
    wanted = expected(source(folder).apisr.Upscale(format=vs.YUV420P10))
    got = list(luma(piped["plain"]))
    assert len(got) == FRAMES and all(np.array_equal(a, b) for a, b in zip(got, wanted, strict=True))


def test_a_range_alone_goes_through_the_network(folder: Path, piped: dict[str, Path]) -> None:
    clip = source(folder)
    others, (large,) = expected(clip.resize.Lanczos(384, 256)), expected(clip[1].apisr.Upscale())
    got = list(luma(piped["range"]))
    assert np.array_equal(got[0], others[0]) and np.array_equal(got[2], others[2])
    assert np.array_equal(got[1], large) and not np.array_equal(large, others[1])


def test_descaling_finds_the_drawing_and_enlarges_that(piped: dict[str, Path]) -> None:
    """The luma that was enlarged by a studio's kernel, here in 8 bit, is there again."""
    drawn = native().resize.Bicubic(format=vs.YUV420P10)
    wanted, plain = expected(drawn.apisr.Upscale())[0], expected(drawn.resize.Bicubic(384, 256))[0]
    got = next(luma(piped["descale"])).astype(int)
    far = [np.sqrt(np.mean((got - one) ** 2)) for one in (wanted, plain)]
    assert got.shape == (256, 384) and far[0] < 0.35 * far[1]


def test_models_side_by_side_with_names(folder: Path, piped: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert next(luma(piped["models"])).shape == (256, 768)
    monkeypatch.chdir(folder)
    vs.clear_outputs()
    runpy.run_path("models.vpy")
    clips = {number: output.clip for number, output in vs.get_outputs().items()}
    assert {number: (clip.width, clip.get_frame(0).props["Name"]) for number, clip in clips.items()} == {
        0: (768, "default | restore"), 1: (384, "default"), 2: (384, "restore")
    }  # fmt: skip
    one, other = (expected(clips[number][0])[0] for number in (1, 2))
    assert not np.array_equal(one, other)
    both = next(luma(piped["models"]))[128:]  # below the names
    assert np.array_equal(both, np.hstack([one, other])[128:])
    vs.clear_outputs()


def test_fields_become_frames_and_pixels_keep_their_shape(folder: Path, piped: dict[str, Path]) -> None:
    assert source(folder, "dvd.mkv").get_frame(0).props["_FieldBased"] in (1, 2)
    clip = from_script(folder / "dvd.vpy", folder / "dvd.mkv")  # as vsapisr upscale --script has it
    props = clip.get_frame(1).props
    assert (clip.width, clip.num_frames, props["_FieldBased"]) == (96, FRAMES, 0)
    large = clip.apisr.Upscale(model="restore", format=vs.YUV420P10)
    props = large.get_frame(0).props
    assert (props["_SARNum"], props["_SARDen"], props["_Matrix"]) == (8, 9, 6)
    assert all(np.array_equal(a, b) for a, b in zip(luma(piped["dvd"]), expected(large), strict=True))


def test_a_master_s_lines_become_sharper_in_their_place(folder: Path, piped: dict[str, Path]) -> None:
    before = expected(source(folder, "master.mkv").resize.Bicubic(format=vs.YUV420P10))[0].astype(int)
    after = next(luma(piped["master"])).astype(int)
    assert after.shape == before.shape == (128, 192)
    steep = [np.sort(np.abs(np.diff(picture, axis=1)).ravel())[-200:].mean() for picture in (before, after)]
    assert steep[1] > 1.1 * steep[0]
    assert np.abs(after - before).mean() < 20 and np.corrcoef(after.ravel(), before.ravel())[0, 1] > 0.98


class ByRuntime:
    """In the place of vsscale's Backend.TRT, with what TensorRT 11 demands: halves, and sides that it was told."""

    def inference(self, clip: vs.VideoNode, path: str, overlap: tuple[int, int], tilesize: tuple[int, int]):
        assert clip.format.id == vs.RGBH and overlap == (0, 0) and tilesize == (clip.width, clip.height)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        blank = clip.std.BlankClip(4 * clip.width, 4 * clip.height, keep=1)

        def filled(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
            picture = np.stack([np.array(plane) for plane in f[1]])
            assert picture.min() >= 0 and picture.max() <= 1
            (out,) = session.run(None, {"input": picture[None]})
            made = f[0].copy()
            for channel in range(3):
                np.copyto(np.asarray(made[channel]), out[0, channel])
            return made

        return blank.std.ModifyFrame([blank, clip], filled)


def test_the_script_for_vs_mlrt_gives_what_the_filter_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "ep01.mkv", [drawing(3, 92, 60)], colorspace=6)
    export(ExportConfig(source="default", target=(str(tmp_path / "default_fp16.onnx"),), precision="fp16"))
    monkeypatch.setattr(vsscale.Backend, "TRT", ByRuntime)
    monkeypatch.chdir(tmp_path)
    vs.clear_outputs()
    runpy.run_path(str(DOCS / "vs_mlrt.vpy"))
    clip = vs.get_outputs()[0].clip
    assert (clip.width, clip.height, clip.format.id) == (368, 240, vs.YUV420P10)
    large = source(tmp_path).apisr.Upscale(format=vs.YUV420P10, guard=0, precision="fp32", device="cpu")
    got, wanted = (expected(one)[0].astype(int)[:200, :320] for one in (clip, large))  # without what meets the padding
    assert np.abs(got - wanted).max() <= 4  # of 1023
    vs.clear_outputs()
