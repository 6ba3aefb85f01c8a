"""Fetching from servers that break off, lie, redirect, stall or refuse; and several fetches of one file at once."""

from __future__ import annotations

import hashlib
import random
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .case import PATIENCE, Outcome
from .damage import one_line

BODY = b"PK" + bytes(range(256)) * 2000
TIMEOUT = 0.5 * PATIENCE
Send = Callable[[bytes], object]


def head(status: str = "200 OK", length: object = len(BODY), *more: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        "Connection: close",
        *([] if length is None else [f"Content-Length: {length}"]),
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def cut(send: Send, rng: random.Random) -> None:
    send(head() + BODY[: rng.randrange(len(BODY))])


def stalled(send: Send, rng: random.Random) -> None:
    send(rng.choice([b"", b"HTTP/1.1 200", head(), head() + BODY[:1000]]))
    time.sleep(3 * TIMEOUT)


def slow(send: Send, rng: random.Random) -> None:
    send(head())
    step = len(BODY) // 5
    for start in range(0, len(BODY), step):
        send(BODY[start : start + step])
        time.sleep(TIMEOUT / 20)


def redirected(send: Send, rng: random.Random) -> None:
    places = ("file:///etc/passwd", "ftp://127.0.0.1:9/x", "http://[", "http://127.0.0.1:notaport/", "//", "/moved",
              "http://127.0.0.1:9/", "gopher://x", "data:,PK", "http://nowhere.invalid/", "\x00", "", "ä")  # fmt: skip
    more = [f"Location: {rng.choice(places)}"] if rng.random() < 0.9 else []
    send(head(rng.choice(["301 Moved", "302 Found", "307 T", "308 P"]), 0, *more))


def lying(send: Send, rng: random.Random) -> None:
    send(head("200 OK", rng.choice([len(BODY) + 1, 10**15, -1, "1e3", "x", "9" * 5000])) + BODY)


def nonsense(send: Send, rng: random.Random) -> None:
    send(rng.choice([b"", b"\0" * 1000, b"HTTP/1.1\r\n\r\n", b"HTTP/9.9 abc\r\n\r\n", b"SSH-2.0-x\r\n", b"x" * 10**6,
                     head('200 OK', None).rstrip() + b"\r\n" + b"A: b\r\n" * 5000, b"HTTP/1.1 200 " + b"y" * 10**5,
                     head("200 OK", None, "Transfer-Encoding: chunked") + b"zz\r\nPK",
                     head("200 OK", None, "Transfer-Encoding: chunked") + b"5\r\nPKabc\r\n"]))  # fmt: skip


def other(send: Send, rng: random.Random) -> None:
    body = rng.choice([b"", b"<html>", b"PK", BODY[:-1] + b"x", b"PK" + rng.randbytes(1000)])
    send(head("200 OK", len(body)) + body)


def refused(send: Send, rng: random.Random) -> None:
    send(
        head(
            rng.choice(["404 Not Found", "403 Forbidden", "500 \xe4\x1b[31m", "204 No Content", "999 x", "429 Later"]),
            0,
        )
    )


def good(send: Send, rng: random.Random) -> None:
    send(rng.choice([head(), head("200 OK", None)]) + BODY)


WAYS = {one.__name__: one for one in (cut, stalled, slow, redirected, lying, nonsense, other, refused, good)}


@contextmanager
def server(way: Callable[[Send, random.Random], None], seed: float) -> Iterator[str]:
    """Its address; it answers every request in one way."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.settimeout(5)
                self.request.recv(65536)
                way(self.request.sendall, random.Random(seed))
            except OSError:
                pass  # the other side has gone

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Answer) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/file"
        running.shutdown()
        thread.join()


def case(rng: random.Random, folder: Path) -> Outcome:
    """One to four fetches of one file from one server."""
    from vsapisr.weights import published

    published.TIMEOUT = TIMEOUT
    name = rng.choice([*WAYS, "good", "slow"])
    digest = rng.choice([hashlib.sha256(BODY).hexdigest(), hashlib.sha256(BODY).hexdigest()[:8], None])
    old = rng.choice([None, b"PK of yesterday"])
    path, several = folder / "cache" / "model.pth", rng.choice([1, 1, 2, 4])
    path.parent.mkdir()
    if old is not None:
        path.write_bytes(old)
    results: list[tuple[str, str]] = []
    with server(WAYS[name], rng.random()) as url:
        model = published.Published(url=url, file=path.name, sha256=digest, licence="")

        def fetch() -> None:
            try:
                published.obtain(model, path, again=True)
                results.append(("fetched", ""))
            except published.FetchError as error:
                results.append(("refused", one_line(str(error))))
            except Exception as error:
                results.append(("failed", f"{type(error).__name__}: {error}"))

        threads = [threading.Thread(target=fetch) for _ in range(several)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    failure = next((words for _, words in results if words), "")
    kinds, now = {kind for kind, _ in results}, path.read_bytes() if path.exists() else None
    if not failure and name in ("good", "slow") and kinds != {"fetched"}:
        failure = f"a good answer, and {results}"
    if not failure and digest is not None and now not in (old, BODY):
        failure = f"a file of {len(now or b'')} bytes that has not the hash"
    if not failure and "fetched" not in kinds and now != old:
        failure = "what was there is gone"
    if left := [one.name for one in path.parent.iterdir() if one != path]:
        failure = failure or f"left behind: {left}"
    return Outcome(f"{name}, {several} at once, SHA-256 {digest and digest[:8]}", failure, kind=f"{name}")
