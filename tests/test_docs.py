"""The documentation is true: its commands run, its arguments exist, the site has every page and no link out of it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import cv2
import pytest

pytest.importorskip("typer", reason="the extra cli is not installed")

from typer.testing import CliRunner

from train import __main__ as steps
from vsapisr.cli.commands_recipe import app
from vsapisr.config import UpscaleConfig
from vsapisr.networks.grl import GRLConfig
from vsapisr.weights import files

from .clips import drawing, write_clip
from .networks import perturbed, write

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SMALL = GRLConfig(dim=32, depths=(1, 1), heads_window=2, heads_stripe=2, mlp_dim=32, bias_dim=8)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_RUN = "not run by our tests"
ELSEWHERE = {
    "python3 scripts/bootstrap.py": "tests/test_bootstrap.py, and the demo by tests/test_demo.py",
    "python -m train": "tests/test_train_end_to_end.py and the tests of each step; below its options are looked at",
    'pip install ".[': "tests/test_packaging.py, without the packages of the extras",
    'pip install -e ".[': "the same",
    "python -m scripts.": "the tests of each; here that the module is there",
    "torchrun --nproc-per-node": "tests/test_processes.py",
    "ray start": "tests/test_cluster.py makes clusters of its own",
    "ffprobe": "tests/test_recipe.py",
    "zensical": "by hand: it takes no part in the tests",
}
"""Beginnings of commands that other tests run, and where."""
CLUSTERED = "--cluster auto"
"""A cluster is made by tests/test_cluster.py alone."""


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """(command, what stands before its block and behind it) of shell blocks."""
    text = page.read_text(encoding="utf-8")
    for block in FENCED.finditer(text):
        if block[1] == "":
            for line in block[2].splitlines():
                if line.strip() and not line.startswith((" ", "#")):
                    command, _, behind = line.partition("  #")
                    before = text[: block.start()].rstrip().rsplit("\n\n", 1)[-1]
                    yield command.partition(" # ")[0].strip(), f"{before} {behind}"


ALL = [(page, line, before) for page in PAGES for line, before in commands(page)]
OURS = sorted({line for _, line, before in ALL if line.startswith("vsapisr ") and NOT_RUN not in before})


def run_here(line: str) -> bool:
    return not any(sign in line for sign in ("|", "[MODEL]", "fetch", CLUSTERED))


def test_every_command_is_run_or_says_that_it_is_not() -> None:
    assert len(ALL) > 60 and len(OURS) > 25
    known = ("vsapisr ", *ELSEWHERE)
    assert [
        (page.name, line) for page, line, before in ALL if not line.startswith(known) and NOT_RUN not in before
    ] == []
    assert {line for line in OURS if not run_here(line)} == {
        "vsapisr info [MODEL]",  # the form of the command
        "vsapisr fetch apisr-grl-gan",  # tests/test_published.py, from a server of its own
        "vsapisr upscale /shared/season --output /shared/enlarged --cluster auto",
        *(line for line in OURS if "| ffmpeg" in line),  # below
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with the files that the commands name, small ones; the pictures' crops fit."""
    folder = tmp_path_factory.mktemp("place")
    short = [drawing(n, 32, 24, 3) for n in range(3)]
    for name in ("ep01.mkv", "ep02.mkv"):
        write_clip(folder / name, short, rate=1)
    for name in ("Season 1", "pictures", "enlarged"):
        (folder / name).mkdir()
    write_clip(folder / "Season 1" / "one.mkv", short)
    for name in ("page1.png", "page2.webp", "pictures/a.png"):
        cv2.imwrite(str(folder / name), drawing(1, 32, 24, 3))
    write(perturbed(SMALL, amount=0.01), folder / "my.safetensors")
    return folder


def fitted(line: str) -> list[str]:
    """The words of a command for files of 32x24 and three frames: no size of thousands, no frame or second beyond."""
    line = re.sub(r"--size \S+", "--size 2x", line)
    line = re.sub(r"--start \S+", "--start 1", line)
    line = re.sub(r"--end \S+", "--end 2", line)
    line = line.replace("100,2000,", "1,").replace("200,120,160,90", "2,2,16,9")
    return shlex.split(line)[1:]


@pytest.mark.parametrize("line", [line for line in OURS if run_here(line)])
def test_commands_of_vsapisr_run(place, monkeypatch, line):
    monkeypatch.chdir(place)
    found = files.find
    own = str(place / "my.safetensors")
    monkeypatch.setattr(
        files, "find", lambda model: found(own if model in ("default", "fidelity", "restore") else model)
    )
    words = fitted(line)
    if words[0] in ("upscale", "compare"):
        words += ["--force", "--device", "cpu"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    if "--output" in words:
        target = Path(words[words.index("--output") + 1])
        assert target.stat().st_size > 0


def test_pipes_into_ffmpeg_keep_the_tags(place):
    """The pixels are those of the source; the command's tags are in the result."""
    if not shutil.which("ffmpeg") or not shutil.which("ffprobe"):
        pytest.skip("no ffmpeg or mkvmerge here")
    lines = [line for line in OURS if "| ffmpeg" in line]
    assert len(lines) == 3
    (upscale,) = {line.split(" | ")[0] for line in lines}
    code, model = "from vsapisr.cli import main; main()", ["--model", "my.safetensors", "--device", "cpu"]
    call = [sys.executable, "-c", code, *fitted(upscale), *model]
    made = subprocess.run(call, cwd=place, capture_output=True, check=True).stdout
    for line in lines:
        encode = line.split(" | ")[1]
        target = place / shlex.split(encode)[-1]
        target.unlink(missing_ok=True)
        subprocess.run([*shlex.split(encode), "-y"], cwd=place, input=made, capture_output=True, check=True)
        wanted = "stream=color_range,color_space,color_transfer,color_primaries,width,height"
        said = ["ffprobe", "-v", "error", "-show_entries", wanted, "-of", "csv=p=0", str(target)]
        assert subprocess.check_output(said, text=True).strip() == "128,96,tv,bt709,bt709,bt709", line


TRAIN = sorted({line for _, line, _ in ALL if line.startswith("python -m train")})


@pytest.mark.parametrize("line", TRAIN)
def test_steps_of_training_take_these_options(monkeypatch, capsys, line):
    """All but the work itself: files, keys and values of the configuration are looked at."""
    works = {work for _, work, _ in steps.STEPS.values()} | set(steps.PLANS.values())
    made = []
    real = steps.find
    monkeypatch.setattr(steps, "find", lambda name: made.append if name in works else real(name))
    monkeypatch.chdir(ROOT)
    assert steps.main(shlex.split(line)[3:]) == 0, capsys.readouterr().err
    assert len(made) == 1


def test_modules_of_scripts_are_there() -> None:
    found = {shlex.split(line)[2] for _, line, _ in ALL if line.startswith("python -m scripts.")}
    assert "scripts.drawings" in found
    for name in found:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name


def test_python_of_the_pages_compiles() -> None:
    found = [
        (page, block[2]) for page in PAGES for block in FENCED.finditer(page.read_text("utf-8")) if block[1] == "python"
    ]
    assert len(found) >= 4
    for page, code in found:
        compile(code, page.name, "exec")


def test_every_argument_has_its_advice() -> None:
    text = (ROOT / "docs" / "arguments.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    assert list(rows) and set(rows) == {field.name for field in fields(UpscaleConfig)}
    for field in fields(UpscaleConfig):
        if field.default not in (None, (), 0):
            assert str(field.default) in rows[field.name], field.name


def pages_of(nav: list) -> Iterator[str]:
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else pages_of(value)


def test_the_site_has_every_page_once_and_no_link_out_of_it() -> None:
    nav = list(pages_of(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]))
    docs = ROOT / "docs"
    assert sorted(nav) == sorted(page.relative_to(docs).as_posix() for page in docs.rglob("*.md"))
    for page in docs.rglob("*.md"):
        for link in re.findall(r"\]\(([^()\s]+)\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:|#", link):
                assert docs in (page.parent / link.partition("#")[0]).resolve().parents, (page.name, link)
