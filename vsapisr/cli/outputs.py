"""Where the command line writes, and that nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import ArgumentError, VsapisrError


def places(inputs: list[Path], output: Path | None) -> list[Path]:
    """Where the result of each goes; makes the folder that it goes to.

    Raises:
        ArgumentError: ``output`` does not fit.
    """
    if output is None:
        return [path.with_name(f"{path.stem}_4x.png") for path in inputs]
    if not output.is_dir():
        if len(inputs) == 1 and output.suffix:
            return [png(output)]
        if output.exists() or output.suffix.lower() == ".png":
            raise ArgumentError(f"output must be a folder for {len(inputs)} images, got {output}")
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(f"output {output} cannot be made ({error.strerror})") from None
    return [output / f"{path.stem}_4x.png" for path in inputs]


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
