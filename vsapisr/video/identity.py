"""By what a source, and all that has a part in a result's bits, are known again."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import VideoError
from .settings import VideoSettings

__all__ = ["identities", "versions"]

SAMPLE = 1 << 20  # bytes at the beginning, middle and end of a source that it is known by


def identity(path: Path) -> dict[str, Any]:
    """Size and a hash of parts of a file; it may be moved or copied, but not be changed."""
    size = path.stat().st_size
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        for place in (0, max(size // 2 - SAMPLE // 2, 0), max(size - SAMPLE, 0)):
            file.seek(place)
            digest.update(file.read(SAMPLE))
    return {"bytes": size, "hash": digest.hexdigest()}


def identities(source: Path | None, settings: VideoSettings) -> dict[str, Any]:
    """Of the source and the script.

    Raises:
        VideoError: one cannot be read.
    """
    named = {"source": source, "script": None if settings.script is None else Path(settings.script)}
    try:
        return {name: identity(path) for name, path in named.items() if path is not None}
    except OSError as error:
        raise VideoError(f"{error.filename} cannot be read ({error.strerror})") from None


def installed(package: str) -> str:
    """Its version, "" if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def versions(model: str) -> dict[str, str]:
    """Of all that has a part in the bits of the result.

    Raises:
        VsapisrError: there is no such model, or a plugin is missing.
    """
    import av
    import torch
    import vapoursynth as vs

    from ..weights import files
    from .clip import core

    path, reader = files.find(model), core().bs
    grl = model in files.shipped() or files.is_grl(files.contents(path))
    return {
        "vsapisr": __version__,
        "model": hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest(),
        **({} if grl else {"spandrel": installed("spandrel")}),
        "torch": torch.__version__,
        "VapourSynth": str(vs.__version__.release_major),
        "BestSource": ".".join(map(str, reader.version)) if hasattr(reader, "version") else "",
        "libav": ".".join(map(str, av.library_versions["libavcodec"])),
    }
