"""Reading drawings of any common kind as 8-bit RGB, with errors that say what is wrong with which file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vsapisr.errors import VsapisrError
from vsapisr.picture.files import apart, eight_bit, samples

from .cache import CACHE_TAG
from .places import MARK

__all__ = ["SUFFIXES", "ImageError", "NoImagesError", "existing", "list_drawings", "list_images", "read_image"]

SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".avif"}
MADE = {MARK, CACHE_TAG, "draws.jsonl"}
"""Files of folders whose pictures are no drawings: what steps wrote, caches, what ``degrade`` made."""
MOST_PIXELS = 180_000_000
"""Above this a file is taken for an attack or a mistake; 8K is 33 million."""


class ImageError(VsapisrError, ValueError):
    """An image file cannot be read or cannot be used; the text begins with its path."""


class NoImagesError(VsapisrError, FileNotFoundError):
    """A folder that should hold images is missing or has none."""


# Of damaged tags, and of sizes below MOST_PIXELS. For the whole process: pictures are read in threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def list_images(folder: str | Path) -> list[Path]:
    """Image files in ``folder`` itself (a cache or sheets may lie in folders below), in name order, but hidden ones,
    such as a killed process leaves.

    Raises:
        NoImagesError: no such folder, or no image in it.
    """
    files = _in(existing(folder))
    if not files:
        raise NoImagesError(f"no {', '.join(sorted(SUFFIXES))} files in {folder}{_hint(Path(folder))}")
    return files


def list_drawings(folder: str | Path, key: str = "") -> list[Path]:
    """What a run is trained on: the images in ``folder`` itself; where there are none, those in all folders below, in
    the order of their paths. Of what the steps made below it is the GT of ``prepare`` and what ``curate`` chose.

    Raises:
        NoImagesError: no such folder, or no image in it; ``folder`` is one that ``prepare`` wrote to. The text begins
            with ``key`` of the configuration.
    """
    try:
        return _drawings(folder)
    except NoImagesError as error:
        raise NoImagesError(f"{key}: {error}" if key else str(error)) from None


def _drawings(folder: str | Path) -> list[Path]:
    """See :func:`list_drawings`."""
    top = existing(folder)
    if files := _in(top):
        return files
    if hint := _hint(top):
        raise NoImagesError(f"no images in {folder} itself{hint}")
    seen = set()
    for place, names, others in os.walk(top, followlinks=True):
        real = os.path.realpath(place)
        if real in seen or (real != os.path.realpath(top) and MADE & set(others)):  # a link back, or no drawings
            names.clear()
            continue
        seen.add(real)
        left_out = {"sheets"} if "manifest.sqlite" in others else {"pictures"} if MARK in others else set()
        names[:] = sorted(name for name in names if name[0] != "." and name not in left_out)
        if {"gt", "pseudo_gt"} <= set(names):
            names[:] = ["gt"]
        files += _in(Path(place))
    if not files:
        raise NoImagesError(f"no {', '.join(sorted(SUFFIXES))} files in {folder} nor below it")
    return sorted(files)


def existing(folder: str | Path) -> Path:
    """``folder``.

    Raises:
        NoImagesError: there is none.
    """
    path = Path(folder)
    if not path.exists():
        raise NoImagesError(f"the folder {str(folder)!r} does not exist")
    if not path.is_dir():
        raise NoImagesError(f"{str(folder)!r} is not a folder")
    return path


def _in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != ".")


def _hint(folder: Path) -> str:
    made = (folder / "gt").is_dir() and (folder / "pseudo_gt").is_dir()
    return f"; the drawings that prepare made are in {folder / 'gt'}" if made else ""


def eight_bit_rgb(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """((H, W, 3) uint8, (H, W) uint8 alpha or None) of what :func:`vsapisr.picture.files.samples` gives."""
    return apart(eight_bit(values))


def _on_white(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """(H, W, 3) uint8: transparent parts over white, as a drawing lies on paper."""
    if alpha is None:
        return rgb
    wide = alpha[..., None].astype(np.uint32)
    return ((rgb * wide + 255 * (255 - wide) + 127) // 255).astype(np.uint8)


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image file that Pillow knows.

    Grey becomes three equal channels, transparency is laid over white, 16 bits are rounded to 8, CMYK is converted, a
    palette resolved and an EXIF orientation applied; of an animation the first picture is taken.

    Raises:
        ImageError: not an image, truncated or otherwise damaged, or absurdly large.
        FileNotFoundError: no such file.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(f"{path}: {image.width}x{image.height} is larger than {MOST_PIXELS} pixels")
            image.load()
            return np.ascontiguousarray(_on_white(*eight_bit_rgb(samples(path, image))))
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that Pillow knows") from None
    except (FileNotFoundError, ImageError):
        raise
    except VsapisrError as error:  # names the file already
        raise ImageError(str(error)) from None
    except Exception as error:
        raise ImageError(f"{path}: {error or type(error).__name__}") from error
