"""``python -m scripts.stress``: a short run of each part holds, and what breaks or leaks is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stress import soak
from scripts.stress.arguments import check_words
from scripts.stress.case import Part, generator
from scripts.stress.parts import PARTS
from scripts.stress.runner import ROOT, run_part

from . import stress_broken

SHORT = [part for part in PARTS.values() if part.short]


@pytest.mark.parametrize("part", SHORT, ids=[part.name for part in SHORT])
def test_a_short_run_holds(part: Part):
    result = run_part(part, part.short, seed=1)
    assert result.cases == part.short
    assert not result.failures, [(index, outcome.what, outcome.failure) for index, outcome in result.failures]


def test_a_case_follows_from_part_seed_and_number():
    assert generator("ends", 1, 2).random() == generator("ends", 1, 2).random() != generator("ends", 1, 3).random()


def test_every_bad_end_is_seen_and_the_others_go_on():
    result = run_part(stress_broken.PART, len(stress_broken.WAYS))
    assert result.cases == len(stress_broken.WAYS)
    words = {index: outcome.failure for index, outcome in result.failures}
    assert sorted(words) == [1, 2, 3, 4, 5]
    for index, expected in ((1, "status 3"), (2, "SIGSEGV"), (3, "on purpose"), (4, "no end after"), (5, "on purpose")):
        assert expected in words[index]
    assert "stress_broken.py" in words[4], "where the process hung"


def test_the_command_says_what_failed_and_how_to_repeat_it(tmp_path: Path):
    file = tmp_path / "results.json"
    command = [sys.executable, "-m", "scripts.stress", "ends", "--count", "1", "--seed", "5", "--json", str(file)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 of 1 held" in run.stdout
    (found,) = json.loads(file.read_text())
    assert (found["part"], found["cases"], found["failures"]) == ("ends", 1, [])
    assert subprocess.run([*command[:3], "nothing"], cwd=ROOT, capture_output=True).returncode == 2


def work(count: int, every: int = 0) -> Iterator[None]:
    """Frames that come and go; one is kept in so many."""
    kept = []
    for number in range(count):
        frame = bytearray(soak.FRAME)
        if every and number % every == 0:
            kept.append(frame)
        yield


def test_one_leaked_frame_in_fifty_is_seen_and_none_is_not():
    bound = soak.KINDS["frames"][2]
    assert "bytes" in soak.judge(soak.slope(work(5000, 50), 5000), bound)
    assert not soak.judge(soak.slope(work(5000), 5000), bound)


@pytest.mark.parametrize("kind", ["frames", "filter lifetimes", "refusals", "training steps"])
def test_every_kind_of_the_soak_runs(kind: str):
    run, _, _ = soak.KINDS[kind]
    assert set(soak.slope(run(20, 1), 20)) == {"bytes", "handles", "threads"}


def test_words_that_are_not_ours_are_seen():
    assert not check_words("Upscale: tilesize must be multiples of 8, got 20")
    for text in ("Traceback (most recent call last)", "Upscale: a\nb", "KeyError: 3", "Upscale: " + "x" * 2000):
        assert check_words(text)
