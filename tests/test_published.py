"""Fetching published models: from a server on this machine, which also breaks off, lies and refuses."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.stress import downloads
from train.losses import files as feature_files
from vsapisr import upscale_image
from vsapisr.cli import info
from vsapisr.errors import WeightsError
from vsapisr.networks.grl import GRLConfig
from vsapisr.weights import files as weights
from vsapisr.weights import published
from vsapisr.weights.published import PUBLISHED, FetchError, Published, fetch

from .networks import perturbed, write

SMALL = GRLConfig(dim=32, depths=(1, 1), heads_window=2, heads_stripe=2, mlp_dim=32, bias_dim=8)


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("content") / "small.pth"
    return write(perturbed(SMALL), path).read_bytes()


@pytest.fixture(scope="module")
def server(content):
    """Its address; what it answers depends on the path."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.paths.append(self.path)
            kind = self.path.strip("/")
            if kind == "moved":
                self.send_response(302)
                self.send_header("Location", "/good")
                return self.end_headers()
            if kind == "gone":
                return self.send_error(404)
            body = b"<html>please log in</html>" if kind == "page" else content
            self.send_response(200)
            if kind == "huge":
                self.send_header("Content-Length", str(10**15))
            elif kind != "unsaid":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if kind == "cut" else body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        running.paths = []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vsapisr"


@pytest.fixture
def publish(server, monkeypatch):
    """Put a model into the table that the server answers for in this way."""

    def add(kind: str, sha256: str | None = None) -> str:
        url = f"http://127.0.0.1:{server.server_port}/{kind}"
        model = Published(url=url, file=f"{kind}.pth", sha256=sha256, licence="free")
        monkeypatch.setattr(published, "PUBLISHED", {**PUBLISHED, "small": model})
        return url

    server.paths.clear()
    return add


def test_a_fetched_model_works_by_its_name(publish, cache, server, content):
    publish("moved", hashlib.sha256(content).hexdigest())
    with pytest.raises(WeightsError, match="^model 'small' is not on this machine; get it with: vsapisr fetch small$"):
        weights.find("small")
    assert not cache.exists() and not server.paths  # asking for a model touches neither
    told = []
    got = fetch("small", lambda done, total: told.append((done, total)))
    assert got.fresh and got.verified and got.path.read_bytes() == content
    assert told[0] == (0, len(content)) and told[-1] == (len(content), len(content))
    assert [path.name for path in cache.iterdir()] == ["moved.pth"]
    assert weights.find("small") == got.path and weights.load(got.path).config == SMALL
    image = np.full((8, 8, 3), 90, np.uint8)
    assert upscale_image(image, model="small", device="cpu").shape == (32, 32, 3)


def test_fetching_again_downloads_only_when_asked_to_or_when_the_file_is_wrong(publish, cache, server, content):
    publish("good")
    first = fetch("small")
    assert first.fresh and not first.verified and first.sha256 == hashlib.sha256(content).hexdigest()
    assert not fetch("small").fresh and server.paths == ["/good"]
    assert fetch("small", again=True).fresh and len(server.paths) == 2
    publish("good", hashlib.sha256(content).hexdigest())
    first.path.write_bytes(content[:-1])
    assert fetch("small").fresh and first.path.read_bytes() == content


def test_a_server_need_not_say_how_long_the_file_is(publish, cache, content):
    publish("unsaid")
    told = []
    assert fetch("small", lambda done, total: told.append(total)).path.read_bytes() == content
    assert set(told) == {None}


ACCEPT = "; --accept keeps it all the same"


def test_another_file_is_kept_when_that_is_accepted(publish, cache, content):
    publish("good", "0" * 64)
    with pytest.raises(FetchError, match=f"{ACCEPT}$"):
        fetch("small")
    got = fetch("small", accept=True)
    assert got.fresh and not got.verified and got.path.read_bytes() == content
    with pytest.raises(FetchError):
        fetch("small")
    assert got.path.read_bytes() == content  # and stays


@pytest.mark.parametrize(
    ("kind", "sha256", "message"),
    [
        ("gone", None, "{url} answered 404 Not Found"),
        ("cut", None, "{url} broke off after {half} of {whole} bytes; try again"),
        ("good", "0" * 64, "{url} is not what it should be: its SHA-256 is {found}, expected is " + "0" * 64 + ACCEPT),
        ("page", None, "{url} answered with something that is no PyTorch file (it starts with b'<h')"),
        ("huge", None, "{cache} has 5.0 MB left; the model needs 1000000000.0 MB"),
    ],
)
def test_failures_leave_what_was_there(publish, cache, content, monkeypatch, kind, sha256, message):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(published.shutil, "disk_usage", lambda folder: usage(5_000_000))
    url = publish(kind, sha256)
    cache.mkdir()
    (cache / f"{kind}.pth").write_bytes(b"PK of yesterday")
    with pytest.raises(FetchError) as caught:
        fetch("small", again=True)
    numbers = {"half": len(content) // 2, "whole": len(content), "found": hashlib.sha256(content).hexdigest()}
    assert str(caught.value) == message.format(url=url, cache=cache, **numbers)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == {f"{kind}.pth": b"PK of yesterday"}


def test_no_network(publish, cache, monkeypatch):
    publish("good")
    nobody = Published(url="http://127.0.0.1:9/x.pth", file="x.pth", sha256=None, licence="free")
    monkeypatch.setattr(published, "PUBLISHED", {"small": nobody})
    with pytest.raises(FetchError, match=r"^cannot reach http://127.0.0.1:9/x.pth \(.+\); is there a network\?$"):
        fetch("small")
    assert not list(cache.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes here")
def test_a_disk_that_takes_no_more(publish, cache, content):
    import resource

    publish("good")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, hard))
    try:
        with pytest.raises(FetchError, match=f"^cannot keep the model as {cache / 'good.pth'}: File too large$"):
            fetch("small")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(cache.iterdir())


def test_a_cache_folder_that_cannot_be_made(publish, tmp_path, cache):
    cache.write_text("a file")
    publish("good")
    with pytest.raises(FetchError, match=f"^cannot keep the model as {cache / 'good.pth'}: "):
        fetch("small")


def test_encryption_is_not_given_up(monkeypatch):
    class Answer:
        url = "http://example.org/file"

        def close(self):
            self.closed = True

    monkeypatch.setattr(published.urllib.request, "urlopen", lambda request, timeout: Answer())
    with pytest.raises(FetchError, match="https://a/b leads to http://example.org/file, which is not encrypted"):
        published.connect("https://a/b")


def test_the_command(publish, cache, content):
    pytest.importorskip("typer", reason="the extra cli is not installed")
    pytest.importorskip("rich", reason="the extra cli is not installed")
    from typer.testing import CliRunner

    from vsapisr.cli.videos import app

    publish("good")
    result = CliRunner().invoke(app, ["fetch", "small"])
    digest = hashlib.sha256(content).hexdigest()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = ["small: free", f"fetched: {cache / 'good.pth'}"]
    assert result.stdout.splitlines() == [*lines, f"SHA-256 {digest}, not verified: no hash of the original is known"]
    assert "already here: " in CliRunner().invoke(app, ["fetch", "small"]).stdout
    url = publish("gone")
    result = CliRunner().invoke(app, ["fetch", "small"])
    assert (result.exit_code, result.stderr) == (1, f"vsapisr: {url} answered 404 Not Found\n")


def test_names(cache):
    with pytest.raises(FetchError, match="no published model is called 'x'; known are apisr-grl-gan"):
        fetch("x")
    with pytest.raises(WeightsError) as caught:
        weights.find("apisr-grl-gan")
    assert str(caught.value) == (
        "model 'apisr-grl-gan' is not on this machine; get it with: vsapisr fetch apisr-grl-gan"
    )
    with pytest.raises(
        WeightsError, match="unknown model 'x'; known are default, fidelity, restore, apisr-grl-gan, .*, or give a path"
    ):
        weights.find("x")


def test_the_cache_folder_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    folders = {"linux": ".cache/vsapisr", "darwin": "Library/Caches/vsapisr", "win32": "local/vsapisr/cache"}
    for platform, folder in folders.items():
        monkeypatch.setattr(published.sys, "platform", platform)
        assert published.cache_folder() == tmp_path / folder


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch, tmp_path):
    def nobody(*_):
        raise KeyError("getpwuid(): uid not found: 54321")

    pwd = pytest.importorskip("pwd", reason="no fork on this system")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError, match="set XDG_CACHE_HOME"):
        weights.find("apisr-grl-gan")
    with pytest.raises(WeightsError, match="set TORCH_HOME"):
        feature_files.folder()
    assert any("apisr-grl-gan: published, not on this machine" in line for line in info.overview())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert published.cache_folder() == tmp_path / "vsapisr"


def test_several_fetches_at_once_do_not_disturb_each_other(publish, cache, content):
    publish("good", hashlib.sha256(content).hexdigest())
    model, both = published.PUBLISHED["small"], threading.Barrier(4)

    def told(done: int, total: int | None) -> None:
        if not done:
            both.wait(30)  # all have begun before one ends

    def get() -> None:
        fetched.append(published.obtain(model, cache / model.file, told, again=True).fresh)

    fetched: list[bool] = []
    threads = [threading.Thread(target=get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [True] * 4 and [path.name for path in cache.iterdir()] == ["good.pth"]


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 302 F\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 F\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/9.9 x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: " + "9" * 5000 + "\r\n\r\nPK",
        "HTTP/1.1 500 \x1b[31m\r\nContent-Length: 0\r\n\r\n",
        "",
    ],
)
def test_whatever_a_server_says_is_one_line(cache, answer):
    with downloads.server(lambda send, _: send(answer.encode()), 0) as url, pytest.raises(FetchError) as caught:
        model = Published(url=url, file="x.pth", sha256="0" * 64, licence="")
        published.obtain(model, cache / "x.pth")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600 and not list(cache.iterdir())
