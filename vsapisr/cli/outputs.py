"""Where the command line writes, and that nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ArgumentError, VsapisrError


def png(path: Path) -> Path:
    """``path``, if it is one of a PNG in a folder that is there."""
    if path.suffix.lower() != ".png":
        raise ArgumentError(f"output must end in .png, which is what is written, got {path}")
    if path.is_dir():
        raise ArgumentError(f"output must be a file, {path} is a folder")
    if not path.parent.is_dir():
        raise ArgumentError(f"the folder of output {path} does not exist")
    return path


def vacant(target: Path, source: Path, force: bool, taken: Iterable[Path] = ()) -> None:
    """Nothing is lost by writing ``target``.

    Raises:
        VsapisrError: something would be.
    """
    if target in taken:
        raise VsapisrError(f"{source} would be written to {target}, as an image before it; give them another --output")
    if target.exists():
        if source.exists() and target.samefile(source):
            raise VsapisrError(f"{target} is the image itself; give another --output")
        if not force:
            raise VsapisrError(f"{target} is there already; --force replaces it")
