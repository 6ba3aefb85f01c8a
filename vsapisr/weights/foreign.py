"""Files that people take for weights: what they are, and what to do with them."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

__all__ = ["what_else"]

BEGINNINGS = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: get it with 'git lfs pull'"),
    (b"<", "a page of the web, not weights: the download went wrong"),
    (b"{", "JSON text, not weights: the download went wrong, or this is a workflow or configuration"),
    (b"GGUF", "a GGUF file, which holds another kind of network"),
    (b"\x1f\x8b", "packed by gzip: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "packed by 7-Zip: unpack it"),
    (b"Rar!", "packed by RAR: unpack it"),
)
WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx")


def what_else(path: Path, start: bytes) -> str:
    """What the file that begins with ``start`` is, in words that go on after its name; "" if that is not known."""
    if path.suffix.lower() == ".onnx":
        return (
            "an ONNX file, which this filter does not run: vs-mlrt does (core.trt.Model, core.ort.Model); here the "
            ".pth or .safetensors it was made from is needed"
        )
    if start.startswith(b"PK"):
        return _archive(path)
    text = start.lstrip()
    return next((words for beginning, words in BEGINNINGS if text.startswith(beginning)), "")


def _archive(path: Path) -> str:
    """Of a ZIP, which PyTorch's own files are too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError):
        return ""
    if any((len(name.parts) > 1 and name.parts[1] == "code") or name.name == "constants.pkl" for name in names):
        return (
            "a TorchScript program, which is code and not weights: save the network's state_dict with torch.save, or "
            "get the .pth it was made from"
        )
    if not any(name.name == "data.pkl" for name in names):
        inside = next((name for name in names if name.suffix.lower() in WEIGHTS), None)
        return f"a ZIP archive: unpack it, and give {str(inside)!r} that is in it" if inside else "a ZIP archive"
    return ""
