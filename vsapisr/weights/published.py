"""Published weights by name: fetched on request alone, into the user's cache folder. Nothing else uses a network.

The files are not part of this project and come under their own terms, which :attr:`Published.licence` names.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ..errors import WeightsError

CHUNK = 1 << 18
TIMEOUT = 30.0  # seconds without a byte
STARTS = (b"PK", b"\x80")  # of a PyTorch file, new and old style

Told = Callable[[int, int | None], None]
"""Called with the bytes so far and those to come in all, None when the server does not say."""


class FetchError(WeightsError):
    """A published model could not be fetched; what was there before is still there."""


class HashError(FetchError):
    """What came is another file than was expected."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where a model is and on which terms."""

    url: str
    file: str
    """Its name in the cache folder."""
    sha256: str | None
    """In hexadecimal, or its first digits, as PyTorch has them in names of files; None: nobody has told us one."""
    licence: str
    network: str = "GRL"

    def is_right(self, found: str) -> bool:
        """Can ``found`` be the file's SHA-256?"""
        return self.sha256 is None or found.startswith(self.sha256)


RELEASES = "https://github.com/Kiteretsu77/APISR/releases/download"
TERMS = "weights of APISR's authors, from a GPL-3.0 repository that says they are for academic use"
PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "apisr-grl-gan": Published(
            url=f"{RELEASES}/v0.1.0/4x_APISR_GRL_GAN_generator.pth",
            file="4x_APISR_GRL_GAN_generator.pth",
            sha256="56fff250139563dea59c4ca81af19cc098d94dc3abaad23640f14cec488e5da1",
            licence=TERMS,
        ),
        "apisr-rrdb-2x": Published(
            url=f"{RELEASES}/v0.1.0/2x_APISR_RRDB_GAN_generator.pth",
            file="2x_APISR_RRDB_GAN_generator.pth",
            sha256="3b0d2b3a3c0461ac17d00f4f32240666fb832b738ea5a48449b1acf07fbb07e5",
            licence=TERMS,
            network="RRDB",
        ),
        "apisr-rrdb-4x": Published(
            url=f"{RELEASES}/v0.2.0/4x_APISR_RRDB_GAN_generator.pth",
            file="4x_APISR_RRDB_GAN_generator.pth",
            sha256="6bd14a66224c90d4754011f378ac828b18e221f2d031026ec99cb5facdf40c19",
            licence=TERMS,
            network="RRDB",
        ),
        "apisr-dat-4x": Published(
            url=f"{RELEASES}/v0.3.0/4x_APISR_DAT_GAN_generator.pth",
            file="4x_APISR_DAT_GAN_generator.pth",
            sha256="cc625c4ec5242a57e46f0941a3c36e3a731dcd859750c5f72a5251045b1e6d72",
            licence=TERMS,
            network="DAT",
        ),
    }
)
"""The hashes are of other projects' manifests: expected, as the authors have published none. Those other than GRL need
spandrel."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A published model on this machine."""

    path: Path
    sha256: str
    """Of the file as it is."""
    verified: bool
    """It was held against a known hash, and is the same."""
    fresh: bool
    """It was downloaded now, not before."""


def cache_folder() -> Path:
    """``vsapisr`` in the folder that the platform has for caches; ``XDG_CACHE_HOME`` goes first everywhere.

    Raises:
        FetchError: there is no home folder, as for a user number without a name in a container.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification has relative ones ignored
        return Path(base) / "vsapisr"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home() / "AppData" / "Local") / "vsapisr" / "cache"
    return home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "vsapisr"


def home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise FetchError(
            "there is no folder for downloaded models, as this user has no home folder; "
            "set XDG_CACHE_HOME to a folder that may be written"
        ) from None


def cached(name: str) -> Path:
    """Where the published model ``name`` is, or would be, on this machine.

    Raises:
        WeightsError: it is known but not here; the text says how to get it.
    """
    path = cache_folder() / PUBLISHED[name].file
    if not path.is_file():
        raise WeightsError(f"model {name!r} is not on this machine; get it with: vsapisr fetch {name}")
    return path


def verdict(model: Published, got: Fetched) -> str:
    """On the SHA-256 of a file that is to be ``model``."""
    if model.sha256 is None:
        return "not verified: no hash of the original is known"
    return "as expected" if got.verified else f"which is not the expected {model.sha256}"


def fetch(name: str, told: Told = lambda done, total: None, again: bool = False, accept: bool = False) -> Fetched:
    """Bring a published model to the cache folder, unless it is there; ``again`` replaces it in any case.

    The download goes to a temporary name and gets the final one after its length and hash were checked; ``accept``
    keeps it whatever its hash is.

    Raises:
        FetchError: unknown name, no network, an answer that is not the file, or nowhere to write it.
    """
    if name not in PUBLISHED:
        raise FetchError(f"no published model is called {name!r}; known are {', '.join(PUBLISHED)}")
    model = PUBLISHED[name]
    try:
        return obtain(replace(model, sha256=None) if accept else model, cache_folder() / model.file, told, again)
    except HashError as error:
        raise HashError(f"{error}; --accept keeps it all the same") from None


def obtain(model: Published, path: Path, told: Told = lambda done, total: None, again: bool = False) -> Fetched:
    """:func:`fetch` to any place: ``path`` is there afterwards, and is the model.

    Raises:
        FetchError: no network, an answer that is not the file, or nowhere to write it.
    """
    # of this fetch alone: threads share a process, and containers that share the folder may have the same numbers
    part = path.with_name(f".{path.name}.{secrets.randbelow(10**9)}.part")
    try:
        if path.is_file() and not again:
            found = hash_of(path)
            if model.is_right(found):
                return Fetched(path=path, sha256=found, verified=model.sha256 is not None, fresh=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        found = download(model.url, part, told)
        check(model, part, found)
        os.replace(part, path)
    except OSError as error:
        raise FetchError(f"cannot keep the model as {path}: {error.strerror or error}") from None
    finally:
        remove(part)
    return Fetched(path=path, sha256=found, verified=model.sha256 is not None, fresh=True)


def download(url: str, target: Path, told: Told) -> str:
    """Write what is at ``url`` to ``target``; its SHA-256.

    Raises:
        FetchError: no connection, an error of the server, or fewer bytes than it had announced.
        OSError: ``target`` cannot be written.
    """
    digest, done = hashlib.sha256(), 0
    with connect(url) as answer:
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdecimal() and len(length) < 19 else None
        if total is not None and total > (free := shutil.disk_usage(target.parent).free):
            raise FetchError(f"{target.parent} has {free / 1e6:.1f} MB left; the model needs {total / 1e6:.1f} MB")
        told(0, total)
        with open(target, "wb") as file:
            while chunk := receive(answer, url, done):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                told(done, total)
    if total is not None and done != total:
        raise FetchError(f"{url} broke off after {done} of {total} bytes; try again")
    return digest.hexdigest()


def connect(url: str) -> http.client.HTTPResponse:
    """The answer to a request for ``url``, redirections followed, but never from https to http."""
    request = urllib.request.Request(url, headers={"User-Agent": "vsapisr", "Accept-Encoding": "identity"})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(f"{url} answered {error.code} {brief(error.reason)}") from None
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise FetchError(f"cannot reach {url} ({brief(reason)}); is there a network?") from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # the last of places and lengths that are none
        raise FetchError(f"cannot reach {url} ({brief(error) or type(error).__name__})") from None
    if url.startswith("https:") and not answer.url.startswith("https:"):
        answer.close()
        raise FetchError(f"{url} leads to {brief(answer.url)}, which is not encrypted; refused")
    return answer


def receive(answer: http.client.HTTPResponse, url: str, done: int) -> bytes:
    """The next bytes; kept apart from writing them, since either fails with OSError."""
    try:
        return answer.read(CHUNK)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = brief(error) or type(error).__name__
        raise FetchError(f"{url} broke off after {done} bytes ({why}); try again") from None


def brief(said: object) -> str:
    """What a server or a library said, on one line that is not too long."""
    text = " ".join(str(said).split())
    return (text if text.isprintable() else ascii(text)[1:-1])[:200]


def check(model: Published, path: Path, found: str) -> None:
    """Is ``path``, whose SHA-256 is ``found``, the model?"""
    if not model.is_right(found):
        raise HashError(f"{model.url} is not what it should be: its SHA-256 is {found}, expected is {model.sha256}")
    with open(path, "rb") as file:
        start = file.read(2)
    if model.file.endswith(".pth") and not start.startswith(STARTS):
        raise FetchError(f"{model.url} answered with something that is no PyTorch file (it starts with {start!r})")


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Also when its folder could not be made."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
