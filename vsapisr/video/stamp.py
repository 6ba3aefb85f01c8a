"""What a finished file says of how it was made, so that the same command knows it again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import VideoError
from .identity import identities
from .probe import opened
from .settings import VideoSettings

__all__ = ["made_by", "marked", "stamp"]

KEY, PLACE = "vsapisr", "encoding_tool"  # in Matroska; the one that MP4 has a place for, which it reads as encoder


def stamp(settings: VideoSettings, identity: dict[str, Any]) -> str:
    """Of a result with these settings from such a source."""
    told = json.dumps([settings.as_dict(), identity], sort_keys=True)
    return f"vsapisr {__version__} {hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"


def marked(metadata: dict[str, str], words: str) -> None:
    """Say it in a container's tags."""
    metadata |= {KEY: words, PLACE: words}


def made_by(target: Path, source: Path | None, settings: VideoSettings) -> bool:
    """Was ``target`` made by this very call, by whichever version?"""
    try:
        with opened(target) as file:
            tags = {key.lower(): value for key, value in file.metadata.items()}
    except VideoError:
        return False
    said = tags.get(KEY) or tags.get("encoder", "")
    return said.startswith("vsapisr ") and said.split()[-1] == stamp(settings, identities(source, settings)).split()[-1]
