"""``vsapisr compare``: what is shown, which frames are chosen, and the files that come of it."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image

pytest.importorskip("typer", reason="the extra cli is not installed")

from typer.testing import CliRunner

import vsapisr
from vsapisr.cli.chosen import blocks, chosen, noise, wanted
from vsapisr.cli.columns import columns
from vsapisr.cli.comparison import HEADER, MARGIN, PANEL
from vsapisr.cli.report import opened
from vsapisr.cli.videos import app
from vsapisr.config import UpscaleConfig
from vsapisr.errors import ArgumentError
from vsapisr.networks.grl import GRLConfig
from vsapisr.video.beside import View, beside_video
from vsapisr.video.clip import enlarged
from vsapisr.video.settings import VideoSettings

from .clips import drawing, write_clip
from .episodes import episode
from .networks import perturbed, write
from .pictures import ramp

SMALL = GRLConfig(dim=32, depths=(1, 1), heads_window=2, heads_stripe=2, mlp_dim=32, bias_dim=8)
LOSSLESS = {"encoder": "ffv1", "pixel_format": "yuv420p"}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("models")
    return [str(write(perturbed(SMALL, n, 0.01), folder / f"{name}.safetensors")) for n, name in enumerate("ab")]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """24 frames; 5 is dark, 11 is coded badly, 18 is full of lines, 21 is black."""
    frames = [drawing(1, 160, 96, 12) for _ in range(24)]
    frames[5] //= 3
    _, coded = cv2.imencode(".jpg", frames[11], [cv2.IMWRITE_JPEG_QUALITY, 4])
    frames[11] = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    frames[18] = drawing(3, 160, 96, 30)
    frames[21][:] = 0
    return write_clip(tmp_path_factory.mktemp("clip") / "v.mkv", frames, options={"crf": "8"})


def call(*arguments: object):
    return CliRunner().invoke(app, ["compare", *map(str, arguments), "--device", "cpu"])


def test_columns_are_the_source_the_models_and_other_settings():
    others = ["guard=0,tilesize=64x48", "model=fidelity"]
    found = columns(UpscaleConfig(overlap=16), ["default", "restore"], others, True)
    labels = ["Lanczos", "default", "restore", "default, guard=0, tilesize=64x48", "fidelity"]
    assert [one.label for one in found] == labels
    assert found[0].config is None and found[2].config == UpscaleConfig(overlap=16, model="restore")
    assert found[3].config == UpscaleConfig(overlap=16, guard=0, tilesize=(64, 48))
    assert found[3].words == "model=default, tilesize=64x48, overlap=16, guard=0"
    same = columns(UpscaleConfig(), ["x/a.pth", "y/a.pth"], [], False)
    assert [one.label for one in same] == ["model=x/a.pth", "model=y/a.pth"]


@pytest.mark.parametrize(
    ("models", "others", "source", "message"),
    [
        (["default"], [], False, "there must be two pictures to compare"),
        (["default"], ["guard=1"], True, "default, guard=1 is compared with itself"),
        (["default"], ["colour=1"], True, "with must be key=value,... with keys of model, "),
        (["default"], ["guard"], True, "with must be key=value,"),
        (["default"], ["guard=off"], True, "with: guard must be a number, got 'off'"),
        (["default"], ["guard=2"], True, "guard must be 0 (off) or 1, got 2"),
    ],
)
def test_wrong_columns(models, others, source, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        columns(UpscaleConfig(), models, others, source)


def test_frames_are_chosen_by_what_is_on_them(clip):
    looks: list[tuple[int, int]] = []
    found = chosen(opened(clip), wanted("2,busiest,darkest,damaged"), lambda *all: looks.append(all))
    assert found == {2: "", 5: "darkest", 11: "most damaged", 18: "busiest"}  # the black one shows nothing
    assert looks == [(n, 24) for n in range(1, 25)]
    two = chosen(opened(clip), wanted("busiest:2"), lambda *all: None)
    assert 18 in two and len(two) == 2 and not {17, 19, 21} & two.keys()
    assert chosen(opened(clip), wanted("7"), lambda *all: pytest.fail("nothing is to be looked at")) == {7: ""}
    with pytest.raises(ArgumentError, match="frames has 24; the video has frames 0 to 23"):
        chosen(opened(clip), wanted("24"), lambda *all: None)


@pytest.mark.parametrize("words", ["", "1,", "-1", "best", "busiest:0", "1-3"])
def test_wrong_frames(words):
    with pytest.raises(ArgumentError, match="frames must be numbers, busiest, darkest, damaged or such as busiest:3"):
        wanted(words)


def test_damage_is_blocks_and_noise_and_not_lines():
    clean = cv2.cvtColor(drawing(7, 320, 184, 30), cv2.COLOR_RGB2GRAY)
    assert blocks(clean) < 0.3 and noise(clean) < 0.1
    rng = np.random.default_rng(0)
    noisy = np.clip(clean + rng.normal(0, 4, clean.shape), 0, 255).astype(np.uint8)
    assert noise(noisy) == pytest.approx(4, abs=0.8)
    steps = np.kron(rng.integers(-6, 7, (23, 40)), np.ones((8, 8)))
    assert blocks(np.clip(clean + steps, 0, 255).astype(np.uint8)) > 2


def test_a_page_of_pictures_and_frames(models, clip, tmp_path):
    Image.fromarray(ramp(24, 32)).save(tmp_path / "a.png")
    target = tmp_path / "page.html"
    given = ["--model", models[0], "--model", models[1], "--with", "guard=0", "--crop", "8,4,16,12"]
    result = call(tmp_path / "a.png", clip, "--output", target, "--frames", "18", *given)
    assert result.exit_code == 0, result.output
    assert result.stdout == (f"{target}: a.png, 16x12 -> 64x48\n{target}: v.mkv, frame 18 (0:00.75), 16x12 -> 64x48\n")
    text = target.read_text(encoding="utf-8")
    found = re.findall(r'id="picture-(\d)-(\d)" data-kind="image/webp">([^<]+)<', text)
    shown = {
        place[:2]: np.asarray(Image.open(io.BytesIO(base64.b64decode(place[2]))).convert("RGB")) for place in found
    }
    assert list(shown) == [(row, column) for row in "01" for column in "0123"]
    for column, given in (
        ("1", {"model": models[0]}),
        ("2", {"model": models[1]}),
        ("3", {"model": models[0], "guard": 0}),
    ):
        want = vsapisr.upscale_image(ramp(24, 32), device="cpu", **given)
        assert np.array_equal(shown["0", column], want[16:64, 32:96])
    whole = cv2.resize(ramp(24, 32), (128, 96), interpolation=cv2.INTER_LANCZOS4)
    assert np.array_equal(shown["0", "0"], whole[16:64, 32:96])
    with av.open(str(clip)) as file:
        frame = list(file.decode(video=0))[18].to_ndarray(format="rgb24")
    small = cv2.resize(shown["1", "0"], (16, 12), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small - frame[4:16, 8:24]).mean() < 12
    large = opened(clip).apisr.Upscale(model=models[1], device="cpu", format=vs.RGB24).get_frame(18)
    want = np.stack([np.asarray(large[plane]) for plane in range(3)], axis=2)
    assert np.array_equal(shown["1", "2"], want[16:64, 32:96])
    again = call(tmp_path / "a.png", "--output", target, "--model", models[0])
    assert again.exit_code == 1 and "page.html is there already; --force replaces it" in again.stderr
    assert not list(tmp_path.glob("*.part*"))


def test_a_sheet_of_two_models(models, tmp_path):
    Image.fromarray(ramp(27, 48)).save(tmp_path / "a.png")
    result = call(tmp_path / "a.png", tmp_path / "a.png", "--output", tmp_path / "s.png", "--model", models[0],
                  "--model", models[1], "--no-source", "--crop", "8,8,16,9")  # fmt: skip
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "s.png") as sheet:
        samples = np.asarray(sheet).astype(int)
    row = 2 * (PANEL[1] + HEADER) + MARGIN
    assert samples.shape == (2 * row, 2 * (PANEL[0] + MARGIN) + MARGIN, 3)
    for column, model in enumerate(models):
        want = vsapisr.upscale_image(ramp(27, 48), model=model, device="cpu")[4 * 12 + 2, 4 * 16].astype(int)
        top, left = row + HEADER + PANEL[1] + HEADER + PANEL[1] // 2, MARGIN + column * (PANEL[0] + MARGIN)
        assert np.abs(samples[top, left + PANEL[0] // 2] - want).max() <= 16


def test_grey_and_interlaced_videos(models, tmp_path):
    frames = [np.full((32, 48, 3), 90 + n, np.uint8) for n in range(3)]
    for frame in frames:
        frame[8:24, 8:24] = 200
    grey = write_clip(tmp_path / "grey.mkv", frames, pix_fmt="gray")
    result = call(grey, "--output", tmp_path / "g.png", "--model", models[0], "--frames", 1)
    assert result.exit_code == 0, result.output
    assert "grey.mkv, frame 1 (0:00.04), 48x32 -> 192x128" in result.stdout
    fields = write_clip(tmp_path / "i.mkv", frames, options={"x264-params": "tff=1:interlaced=1"})
    result = call(fields, "--output", tmp_path / "i.html", "--model", models[0], "--frames", 1)
    assert (
        result.exit_code == 1 and "frame 0 is interlaced" in result.stderr
    ) or "frame 1 is interlaced" in result.stderr
    assert not (tmp_path / "i.html").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--output", "x.jpg"], "output must end in .html (a page), .png (a picture) or .mkv, .mp4, .mov (a video), "),
        (["--output", "no/x.html"], f"the folder of output {Path('no/x.html')} does not exist"),
        (["--output", "x.html", "--wipe"], "wipe is of videos: output must end in .mkv, .mp4, .mov, got x.html"),
        (["b.mkv", "--output", "x.mkv"], "a video shows one video, from --start to --end: no other input, --frames"),
        (["--output", "x.mkv", "--frames", "3"], "a video shows one video"),
        (["--output", "x.mkv", "--size", "big"], "size must be such as 2x, 1080p or 1920x1080, got 'big'"),
    ],
)  # fmt: skip
def test_wrong_outputs(given, message):
    result = call("a.mkv", *given)
    assert result.exit_code == 2 and result.stderr.startswith(f"vsapisr: {message}")


def views(models: list[str], source: bool = True) -> list[View]:
    found = [View(Path(one).stem, UpscaleConfig(model=one, device="cpu")) for one in models]
    return [View("Lanczos", None), *found] if source else found


def wish(models: list[str], **given) -> VideoSettings:
    return VideoSettings(upscale=UpscaleConfig(model=models[0], device="cpu"), size="2x", **LOSSLESS, **given)


def lumas(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray()[: frame.height].astype(int) for frame in file.decode(video=0)]


def test_a_video_side_by_side_keeps_all_else(models, tmp_path):
    source = episode(tmp_path / "e.mkv", [42 * n for n in range(9)], intra=(0, 5), rich=True)
    target = tmp_path / "side.mkv"
    events: list[str] = []
    done = beside_video(
        source, target, wish(models, chunk=0.1), views(models), told=lambda e: events.append(e["event"])
    )
    assert done.frames == 9 and events.count("frame") == 9 and events.count("chunk") == 2
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert [one.type for one in before.streams] == [one.type for one in after.streams]
        width, height = before.streams.video[0].width, before.streams.video[0].height
    frames, plain = lumas(target), lumas(source)
    assert frames[0].shape == (2 * height, 3 * 2 * width)
    for n in (0, 8):
        first, second, third = np.split(frames[n], 3, axis=1)
        assert np.abs(second - third)[height:].max() > 0  # two models, not one twice
        small = cv2.resize(first.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(small - plain[n])[height // 2 :].mean() < 3
        for part, view in zip((second, third), views(models, False)):
            large = enlarged(opened(source), wish(models), (2 * width, 2 * height), vs.YUV420P8, view.config)
            assert np.array_equal(part[height:], np.asarray(large.get_frame(n)[0])[height:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.mkv", "side.mkv"]


def test_a_wipe_goes_there_and_back(models, tmp_path):
    source = write_clip(tmp_path / "v.mkv", [drawing(1, 64, 48, 4)] * 8, rate=1)
    beside_video(source, tmp_path / "w.mkv", wish(models), views(models[:1]), wipe=True)
    edges = []
    for frame in lumas(tmp_path / "w.mkv"):
        assert frame.shape == (96, 128)
        edges.append(int(np.flatnonzero((frame == 235).all(0))[0]))
    assert edges[0] == 0 and edges[3] == 124 and edges[6] == 0  # six seconds
    assert edges[0] < edges[1] < edges[2] < edges[3] > edges[4] > edges[5] > edges[6] < edges[7]
    with pytest.raises(ArgumentError, match="wipe is between two pictures, got 3"):
        beside_video(source, tmp_path / "x.mkv", wish(models), views(models), wipe=True)


def test_the_work_of_upscale_is_not_lost(models, tmp_path):
    from vsapisr.errors import VideoError
    from vsapisr.video.plan import prepare

    source = write_clip(tmp_path / "v.mkv", [drawing(1, 64, 48, 4)] * 4)
    work = prepare(source, tmp_path / "t.mkv", wish(models))
    with pytest.raises(VideoError, match="holds what vsapisr upscale has begun; --force removes it"):
        beside_video(source, tmp_path / "t.mkv", wish(models), views(models))
    assert work.folder.plan.exists()
    beside_video(source, tmp_path / "t.mkv", wish(models), views(models), force=True)
    assert not work.folder.path.exists()


def test_the_command_makes_a_video(models, clip, tmp_path):
    result = call(clip, "--output", tmp_path / "w.mp4", "--wipe", "--model", models[0], "--size", "1x", "--end", "0.2",
                  "--encoder", "libx264", "--preset", "ultrafast")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"{clip} -> {tmp_path / 'w.mp4'}, 5 frames, " in result.stderr
    assert len(lumas(tmp_path / "w.mp4")) == 5
