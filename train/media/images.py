"""Reading drawings of any common kind as 8-bit RGB, with errors that say what is wrong with which file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from vsapisr.errors import VsapisrError
from vsapisr.picture.orientation import orientation, upright

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


def _is_16_bit_png(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(25)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) == 25 and head[24] == 16


def _read_16_bit(path: Path) -> np.ndarray:
    """A 16-bit PNG, rounded to 8 bits. Pillow would cut off the low byte of colour and give grey as something else."""
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageError(f"{path}: damaged or cut off 16-bit PNG")
    wide = image.reshape(*image.shape[:2], -1).astype(np.uint32)
    small = ((wide * 255 + 32767) // 65535).astype(np.uint8)
    if small.shape[2] in (1, 2):
        return np.concatenate([np.repeat(small[..., :1], 3, axis=2), small[..., 1:]], axis=2)
    return small[..., [2, 1, 0, *range(3, small.shape[2])]]  # OpenCV has BGR


def grey_of_16_bits(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of an image of mode "I" or "I;16", which Pillow's ``convert`` would clip instead of round."""
    grey = np.asarray(image).astype(np.float64) / 257
    return np.repeat(np.clip(np.round(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _on_white(image: np.ndarray) -> np.ndarray:
    """(H, W, 3 or 4) uint8 -> (H, W, 3): transparent parts over white, as a drawing lies on paper."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.uint32)
    return ((image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


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
            if _is_16_bit_png(path):
                samples = _read_16_bit(path)
            elif image.mode.startswith("I"):
                samples = grey_of_16_bits(image)
            else:
                samples = np.asarray(image.convert("RGBA" if _has_alpha(image) else "RGB"))
            return np.ascontiguousarray(_on_white(upright(samples, orientation(image))))
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image that Pillow knows") from None
    except (FileNotFoundError, ImageError):
        raise
    except Exception as error:
        raise ImageError(f"{path}: {error or type(error).__name__}") from error
