"""Files are there whole or not at all, and what a killed writer leaves is taken for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.media.images import list_images
from vsapisr.writing import LEFTOVERS, finished, write_atomically


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    write_atomically(target, b"old")
    with finished(target) as part:
        part.write_bytes(b"new")
        assert target.read_bytes() == b"old" and part.suffix == ".png"
    assert target.read_bytes() == b"new" and list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    write_atomically(target, b"old")
    with pytest.raises(ZeroDivisionError), finished(target) as part:
        part.write_bytes(b"half")
        _ = 1 / 0
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_leftovers_are_known_by_their_name_and_are_no_pictures(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.png", b"whole")
    with finished(tmp_path / "b.png") as part:
        part.write_bytes(b"half")
        assert [path for path in tmp_path.iterdir() if LEFTOVERS.fullmatch(path.name)] == [part]
        assert [path.name for path in list_images(tmp_path)] == ["a.png"]
