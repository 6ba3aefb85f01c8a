"""A folder of pictures that are cheaper to read than to make, with a limit on its size."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
import uuid
from pathlib import Path

import cv2
import numpy as np

from vsapisr.writing import write_words

__all__ = ["CACHE_TAG", "DiskCache", "key_of"]

log = logging.getLogger(__name__)
CACHE_TAG = "CACHEDIR.TAG"
"""By which programs that make backups, and the list of drawings, know a cache (https://bford.info/cachedir)."""
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# Degraded drawings and pseudo-GTs, to be made again.\n"
WARNED: set[Path] = set()
"""Folders that this process has reported."""


def key_of(*parts: object) -> str:
    """40 hexadecimal digits that stand for the ``repr`` of ``parts``."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:40]


class DiskCache:
    """``get`` and ``put`` (H, W, 3) uint8 arrays; the longest unused go first when ``limit`` bytes are passed.

    Entries are lossless PNG files, written under another name and renamed, so that several processes can share the
    folder and a kill leaves nothing half-written. Each process counts what it adds and looks at the whole folder every
    ``recount`` entries, so that n processes stay within the limit but for n * ``recount`` entries.

    No error comes from it: where the disk is full or the folder cannot be used there is nothing to get, and one warning
    in each process.
    """

    def __init__(self, folder: str | Path, limit: int, recount: int = 32):
        self.folder, self.limit, self.recount = Path(folder), limit, recount
        self.total = self.added = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.total = self._scan()[0]
            if not (self.folder / CACHE_TAG).exists():
                write_words(self.folder / CACHE_TAG, SIGNATURE)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        """Once in a process; the pictures are made again for as long as it lasts."""
        if self.folder not in WARNED:
            log.warning(
                "the cache %s cannot be used (%s); the run goes on without", self.folder, error.strerror or error
            )
        WARNED.add(self.folder)

    def _scan(self) -> tuple[int, list[tuple[float, int, str]]]:
        """Bytes in all and (time of last use, bytes, path) of every entry; abandoned temporary files are removed."""
        entries = []
        for shelf in os.scandir(self.folder):
            if not shelf.is_dir():
                continue
            for file in os.scandir(shelf.path):
                try:
                    info = file.stat()
                    if not file.name.endswith(".png"):
                        if time.time() - info.st_mtime > 3600:
                            os.unlink(file.path)
                        continue
                except FileNotFoundError:  # another process was quicker
                    continue
                entries.append((info.st_mtime, info.st_size, file.path))
        return sum(size for _, size, _ in entries), entries

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.png"

    def get(self, key: str) -> np.ndarray | None:
        """The array stored under ``key``; None when there is none or its file is damaged or cannot be read."""
        path = self._path(key)
        try:
            image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
            os.utime(path)
        except (FileNotFoundError, cv2.error):
            return None
        except OSError as error:
            self._warn(error)
            return None
        return None if image is None else image[..., ::-1]

    def put(self, key: str, image: np.ndarray) -> None:
        """Stores ``image``, unless it alone is over the limit or cannot be written."""
        data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
        if data.nbytes > self.limit:
            return
        try:
            self._write(self._path(key), data.tobytes())
            self.total += data.nbytes
            self.added += 1
            if self.total > self.limit or self.added % self.recount == 0:
                self._trim()
        except OSError as error:
            self._warn(error)

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Removes the longest unused entries until a tenth of the limit is free again, if the limit is passed."""
        self.total, entries = self._scan()
        if self.total <= self.limit:
            return
        for _, size, path in sorted(entries):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            self.total -= size
            if self.total <= 0.9 * self.limit:
                return
