"""The command line on real files, with a tiny network."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

import vsapisr
from vsapisr.cli import main
from vsapisr.networks.cpu import network as native
from vsapisr.networks.grl import GRLConfig

from .networks import perturbed, write
from .pictures import ramp

pytest.importorskip("typer", reason="the extra cli is not installed")
pytest.importorskip("rich", reason="the extra cli is not installed")

from typer.testing import CliRunner

from vsapisr.cli import images
from vsapisr.cli.comparison import HEADER, MARGIN, PANEL
from vsapisr.cli.cutout import spread
from vsapisr.cli.progress import Meter
from vsapisr.cli.videos import app
from vsapisr.weights import published

SMALL = GRLConfig(dim=32, depths=(1, 1), heads_window=2, heads_stripe=2, mlp_dim=32, bias_dim=8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    metadata = {"iterations": "12", "config": '{"seed": 3, "codecs": ["h264"]}'}
    return str(write(perturbed(SMALL, amount=0.01), path, **metadata))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def call(*arguments: object):
    return CliRunner().invoke(app, [str(part) for part in arguments])


def upscale(model: str, *arguments: object):
    return call("upscale", "--model", model, "--device", "cpu", *arguments)


def load(path: Path) -> np.ndarray:
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)


def expected(rgb: np.ndarray, model: str, **arguments: object) -> np.ndarray:
    return vsapisr.upscale_image(np.ascontiguousarray(rgb), model=model, device="cpu", **arguments)


def no_parts(folder: Path) -> bool:
    return not list(folder.rglob("*.part*"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif"])
def test_files_of_every_kind(model, tmp_path, suffix):
    path = tmp_path / f"[red] é.{suffix}"  # brackets would be markup to rich
    Image.fromarray(ramp()).save(path)
    result = upscale(model, path)
    assert result.exit_code == 0, result.output
    target = tmp_path / "[red] é_4x.png"
    assert f"{path} -> {target}, 16x12 -> 64x48, " in result.stderr
    with Image.open(path) as source, Image.open(target) as out:
        assert out.format == "PNG" and out.mode == "RGB"
        assert np.array_equal(np.asarray(out), expected(np.asarray(source.convert("RGB")), model))
    assert no_parts(tmp_path)


def test_alpha_is_kept_and_the_profile(model, tmp_path):
    image = ramp(channels=4)
    Image.fromarray(image).save(tmp_path / "a.png", icc_profile=PROFILE)
    assert upscale(model, tmp_path / "a.png", "--output", tmp_path / "big.png").exit_code == 0
    with Image.open(tmp_path / "big.png") as out:
        assert out.mode == "RGBA" and out.info["icc_profile"] == PROFILE
        samples = np.asarray(out)
    assert np.array_equal(samples[..., :3], expected(spread(image[..., :3], image[..., 3]), model))
    lanczos = cv2.resize(image[..., 3], (64, 48), interpolation=cv2.INTER_LANCZOS4)
    assert np.array_equal(samples[..., 3], lanczos)


def test_sixteen_bit_stay_sixteen(model, tmp_path):
    image = ramp(channels=4, dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), image[..., [2, 1, 0, 3]])
    cv2.imwrite(str(tmp_path / "plain.png"), image[..., 2::-1])
    cv2.imwrite(str(tmp_path / "grey.png"), image[..., 0])
    result = upscale(model, *(tmp_path / f"{name}.png" for name in ("deep", "plain", "grey")))
    assert result.exit_code == 0, result.output
    deep, plain, grey = (load(tmp_path / f"{name}_4x.png") for name in ("deep", "plain", "grey"))
    assert deep.dtype == plain.dtype == grey.dtype == np.uint16
    cut = expected(spread(image[..., :3], image[..., 3]), model)
    assert np.array_equal(deep[..., 2::-1], cut)
    assert np.array_equal(plain[..., ::-1], expected(image[..., :3], model))
    assert np.array_equal(deep[..., 3], cv2.resize(image[..., 3], (64, 48), interpolation=cv2.INTER_LANCZOS4))
    luma = expected(np.repeat(image[..., :1], 3, axis=2), model) @ [0.299, 0.587, 0.114]
    assert grey.shape == (48, 64) and np.abs(grey - luma).max() <= 1
    assert np.unique(plain & 255).size > 100  # the low bytes carry something


def test_photos_are_turned_upright_and_one_frame_of_an_animation_can_be_had(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(ramp()).save(tmp_path / "t.png", exif=exif)
    assert np.array_equal(images.read(tmp_path / "t.png").rgb, np.rot90(ramp(), -1))
    frames = [Image.fromarray(np.full((8, 8, 3), n, np.uint8)) for n in (10, 200)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    result = upscale(model, tmp_path / "a.webp", "--frames", 1)
    assert "a.webp (the first of 2 frames) -> " in result.stderr
    assert np.array_equal(load(tmp_path / "a_4x.png")[..., ::-1], expected(np.full((8, 8, 3), 10, np.uint8), model))


def bad_files(folder: Path) -> dict[str, str]:
    """Name -> what is said of it after its path."""
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole, "PNG")
    (folder / "cut.png").write_bytes(whole.getvalue()[:6000])
    (folder / "text.png").write_text("no image")
    (folder / "empty.jpg").touch()
    (folder / "empty.mkv").touch()
    (folder / "folder.png").mkdir()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(folder / "float.tiff")
    half = whole.getvalue()[:6000]  # as some interrupted downloads leave it: of full length
    (folder / "half.png").write_bytes(half.ljust(len(whole.getvalue()), b"\0"))
    return {
        "half.png": " cannot be read (",
        "cut.png": " cannot be read (",
        "text.png": " is no image that can be read",
        "gone.png": " does not exist",
        "empty.jpg": " is no image that can be read",
        "empty.mkv": " is no video that can be read",
        "folder.png": " is a folder without pictures or videos",
        "float.tiff": " has samples of a kind that is not supported (mode F)",
    }


def test_bad_files_are_reported_and_the_rest_goes_on(model, tmp_path):
    bad = bad_files(tmp_path)
    for name in ("first.png", "last.png"):
        Image.fromarray(ramp(8, 8)).save(tmp_path / name)
    out = tmp_path / "new" / "folder"
    paths = [tmp_path / name for name in ("first.png", *bad, "last.png")]
    result = upscale(model, *paths, "--output", out)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    for name, message in bad.items():
        assert f"vsapisr: {tmp_path / name}{message}" in result.stderr
    assert {path.name for path in out.iterdir()} == {"first_4x.png", "last_4x.png"}


def test_nothing_is_lost(model, tmp_path):
    image, other = tmp_path / "a.png", tmp_path / "a.jpg"
    Image.fromarray(ramp(8, 8)).save(image)
    Image.fromarray(ramp(8, 8)).save(other)
    target = tmp_path / "a_4x.png"
    target.write_bytes(b"mine")
    result = upscale(model, image)
    assert result.exit_code == 1 and f"vsapisr: {target} is there already; --force replaces it" in result.stderr
    assert target.read_bytes() == b"mine"
    result = upscale(model, image, other)
    assert result.exit_code == 0 and target.read_bytes() == b"mine"
    assert load(tmp_path / "a.png_4x.png").shape == load(tmp_path / "a.jpg_4x.png").shape == (32, 32, 3)
    result = upscale(model, image, image, "--force", "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{image} would be written to {tmp_path / 'out/a.png_4x.png'}, as an image before it" in result.stderr
    before = image.read_bytes()
    result = upscale(model, image, "--output", image, "--force")
    assert result.exit_code == 1 and f"{image} is the image itself" in result.stderr and image.read_bytes() == before


def test_the_options_reach_the_network(model, tmp_path):
    rgb = ramp(24, 40)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    options = ("--tilesize", "24x16", "--overlap", "0", "--batch", "2", "--precision", "bf16")
    assert upscale(model, tmp_path / "a.png", *options).exit_code == 0
    same = {"tilesize": (24, 16), "overlap": 0, "precision": "bf16", "batch": 2}
    want = vsapisr.upscale_image(rgb, model=model, device="cpu", **same)
    assert np.array_equal(load(tmp_path / "a_4x.png")[..., ::-1], want)


def test_progress_within_an_image(model):
    told = []
    config = vsapisr.config.UpscaleConfig(model=model, tilesize=(16,), overlap=0, device="cpu")
    images.upscaled(images.Picture(rgb=ramp(32, 32)), config, told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch):
    from rich.console import Console

    now = [0.0]
    monkeypatch.setattr("vsapisr.cli.progress.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    with Meter(Console(file=stream), "MB", 4e6) as meter:
        for now[0] in (1.0, 10.0, 11.0):
            meter.update(now[0] * 1e5, label="[x]")
    assert stream.getvalue() == "[x]: 1.00/4.00 MB, 0.1 MB/s, 30 s left\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tilesize", "big"], "tilesize must be a number or two as in 256x192, got 'big'"),
        (["--tilesize", "20"], "tilesize must be multiples of 8, got 20"),
        (["--overlap", "-8"], "overlap must not be negative, got -8"),
        (["--precision", "int8"], "precision must be one of auto, fp32, fp16, bf16, got 'int8'"),
        (["--batch", "65"], "batch must be 0 (automatic) to 64, got 65"),
        (["--output", "x.jpg"], "output must end in .png, which is what is written, got x.jpg"),
        (["--output", "no/such/x.png"], f"the folder of output {Path('no/such/x.png')} does not exist"),
        (["b.png", "--output", "x.png"], "output must be a folder for 2 files, got x.png"),
    ],
)
def test_wrong_options(options, message):
    result = call("upscale", "a.png", *options)
    assert (result.exit_code, result.stderr) == (2, f"vsapisr: {message}\n")


def test_model_and_device_are_tried_before_any_image(tmp_path):
    result = call("upscale", "a.png", "--model", "apisr-grl-gan", "--device", "cpu")
    assert result.exit_code == 1
    advice = "is not on this machine; get it with: vsapisr fetch apisr-grl-gan"
    assert result.stderr == f"vsapisr: model 'apisr-grl-gan' {advice}\n"
    result = call("upscale", "a.png", "--device", "tpu")
    assert (result.exit_code, result.stderr) == (1, "vsapisr: device must be auto, cpu, cuda or cuda:N, got 'tpu'\n")


def test_compare_shows_both(model, tmp_path):
    rgba = ramp(27, 48, 4)
    rgba[8:16, 8:24, :3] = (255, 0, 0)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    arguments = ("compare", tmp_path / "a.png", "--output", tmp_path / "c.png", "--model", model, "--device", "cpu")
    result = call(*arguments, "--crop", "8,8,16,8")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'c.png'}: {tmp_path / 'a.png'}, 48x27 -> 192x108\n"
    with Image.open(tmp_path / "c.png") as sheet:
        samples = np.asarray(sheet).astype(int)
    top = HEADER + PANEL[1] + HEADER + PANEL[1] // 2
    before, after = (samples[top, MARGIN + column * (PANEL[0] + MARGIN) + PANEL[0] // 2] for column in (0, 1))
    assert np.abs(before - (255, 0, 0)).max() <= 3  # the detail is what was asked for
    want = expected(rgba[..., :3], model)[4 * 12, 4 * 16].astype(int)
    assert np.abs(after - want).max() <= 12
    again = call(*arguments)
    assert again.exit_code == 1 and "c.png is there already; --force replaces it" in again.stderr
    assert call(*arguments, "--force").exit_code == 0 and no_parts(tmp_path)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ("1,2,3", "crop must be x,y,w,h in pixels of the image, got '1,2,3'"),
        ("0,0,0,4", "crop must be x,y,w,h in pixels of the image, got '0,0,0,4'"),
        ("10,0,7,4", "crop 10,0,7,4 reaches beyond the image of 16x12"),
    ],
)
def test_wrong_crops(tmp_path, crop, message):
    Image.fromarray(ramp()).save(tmp_path / "a.png")
    result = call("compare", tmp_path / "a.png", "--output", tmp_path / "c.png", "--crop", crop)
    assert (result.exit_code, result.stderr) == (2, f"vsapisr: {message}\n")


def test_info(model):
    result = call("info")
    assert result.exit_code == 0, result.output
    assert f"vsapisr {vsapisr.__version__}, torch " in result.stdout and "VapourSynth R" in result.stdout
    assert "  cpu: " in result.stdout and "  default: shipped, 1,027,939 parameters, " in result.stdout
    assert ("  compiled kernels: fp32 by AVX" if native.load_library() else "  no compiled kernels") in result.stdout
    assert "apisr-grl-gan: published, not on this machine" in result.stdout and "core.apisr" in result.stdout
    result = call("info", model, "--raw")
    lines = result.stdout.splitlines()
    count = sum(p.numel() for p in perturbed(SMALL).parameters())
    assert lines[0] == model and lines[1].startswith(f"GRL, enlarges four times, {count:,} parameters, fp32, ")
    assert {"  depths: (1, 1)", "iterations: 12", "  seed: 3", '  codecs: ["h264"]'} <= set(lines)
    assert (call("info", "no/such.pth").exit_code, call("info", "no/such.pth").stdout) == (1, "")


def test_fetch(monkeypatch, tmp_path):
    def fetched(name, told, again, accept):
        told(0, 2_000_000)
        told(2_000_000, 2_000_000)
        return published.Fetched(path=tmp_path / "w.pth", sha256="ab" * 32, verified=again, fresh=True)

    monkeypatch.setattr(published, "fetch", fetched)
    result = call("fetch", "apisr-grl-gan")
    assert result.exit_code == 0 and "GPL-3.0" in result.stdout and "academic use" in result.stdout
    assert f"fetched: {tmp_path / 'w.pth'}\nSHA-256 {'ab' * 32}, which is not the expected 56ff" in result.stdout
    assert f"SHA-256 {'ab' * 32}, as expected" in call("fetch", "apisr-grl-gan", "--force").stdout
    monkeypatch.undo()
    result = call("fetch", "nothing")
    assert result.exit_code == 1
    assert (
        result.stderr
        == f"vsapisr: no published model is called 'nothing'; known are {', '.join(published.PUBLISHED)}\n"
    )


@pytest.mark.parametrize("missing", ["typer", "rich", "PIL", "cv2"])
def test_without_the_extra(monkeypatch, capsys, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == 'vsapisr: this command needs the cli extra: pip install "vsapisr[cli]"\n'


def test_help_needs_no_torch():
    code = "import sys; sys.modules['torch'] = None; from vsapisr.cli import main; main()"
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(vsapisr.__file__).parents[1])
    assert done.returncode == 0 and "upscale" in done.stdout, done.stderr
