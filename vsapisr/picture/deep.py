"""Pictures of 16 bit, of which Pillow would keep eight: PNG, TIFF, PNM. By OpenCV."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..errors import VsapisrError

__all__ = ["DeepError", "samples"]

PNG = b"\x89PNG\r\n\x1a\n"
GREY_TYPES = (0, 4)
"""Colour types of PNG."""
BITS, PHOTOMETRIC, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 262, 338, 339
"""Tags of TIFF."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, ASSOCIATED = 0, 1, 2, 1
PNM = re.compile(rb"P([56])" + rb"(?:\s+|\s*#[^\n]*\n\s*)+(\d+)" * 3 + rb"\s")


class DeepError(VsapisrError, ValueError):
    """A picture of 16 bit is of a kind that cannot be read."""


def samples(path: Path, image: Image.Image) -> np.ndarray | None:
    """(h, w, 1 to 4) uint16 from 0 to 65535, RGB, grey or either with alpha; None if ``image`` is not of 16 bit.

    Raises:
        DeepError: it is, and OpenCV makes nothing of it.
    """
    with open(path, "rb") as file:
        head = file.read(1024)
    if head.startswith(PNG):
        return png(path, image, head) if head[24] == 16 else None
    if image.format == "TIFF":
        return tiff(path, image)
    if (found := PNM.match(head)) and int(found[4]) > 255:
        return np.rint(decoded(path) * (65535 / int(found[4]))).clip(0, 65535).astype(np.uint16)
    return None


def decoded(path: Path) -> np.ndarray:
    """(h, w, channels) uint16 with colours as RGB."""
    found = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        raise DeepError(f"{path} cannot be read (OpenCV makes nothing of its 16 bit)")
    found = found.reshape(*found.shape[:2], -1)
    return found[..., [2, 1, 0, 3][: found.shape[2]]] if found.shape[2] >= 3 else found


def png(path: Path, image: Image.Image, head: bytes) -> np.ndarray:
    """``head`` has the signature, then IHDR: bit depth at 24, colour type at 25."""
    found = decoded(path)
    if found.shape[2] == 4 and head[25] in GREY_TYPES:
        found = found[..., [0, 3]]
    if found.shape[2] in (1, 3) and (clear := image.info.get("transparency")) is not None:
        opaque = (found != np.array(clear)).any(axis=2, keepdims=True)
        found = np.concatenate([found, opaque * np.uint16(65535)], axis=2)
    return found


def tiff(path: Path, image: Image.Image) -> np.ndarray | None:
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits, kind = tags.get(BITS, (1,)), tags.get(PHOTOMETRIC)
    bits = bits if isinstance(bits, tuple) else (bits,)
    if set(bits) != {16} or set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
        return None
    extra = tags.get(EXTRA_SAMPLES, ())
    if (kind, len(bits)) not in {(WHITE_IS_ZERO, 1), (BLACK_IS_ZERO, 1), (RGB, 3), (RGB, 4)}:
        return None  # CMYK, say, which has to be converted anyway
    found = decoded(path)
    if kind == WHITE_IS_ZERO:
        found = 65535 - found
    if found.shape[2] == 4 and ASSOCIATED in extra:  # colours are stored multiplied by opacity
        alpha = found[..., 3:].astype(np.float64)
        colours = np.rint(found[..., :3] * (65535 / np.maximum(alpha, 1))).clip(0, 65535)
        found = np.concatenate([colours.astype(np.uint16), found[..., 3:]], axis=2)
    return found
