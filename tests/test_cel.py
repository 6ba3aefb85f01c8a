"""The cel generator: the same drawing every time, held drawings held, the same geometry at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from scripts.cel import MIXED, SHOTS, Painter, length, render


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter(180)


def test_shots_that_others_ask_for_are_there():
    assert {"talk", "slide", "pan", "title"} <= set(SHOTS)
    assert length("mixed") == sum(SHOTS[name].frames for name in MIXED) >= 200
    with pytest.raises(KeyError, match="no shot named 'walk'; known: talk, slide, pan, title, mixed"):
        length("walk")


@pytest.mark.parametrize("shot", ["talk", "slide", "pan", "title"])
def test_same_frame_from_another_painter_is_bit_identical(painter: Painter, shot: str):
    picture = painter.frame(shot, 17)
    assert picture.shape == (180, 320, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, render(shot, 17, 180))
    assert np.array_equal(picture, painter.frame(shot, 17 + length(shot)))


def test_mouth_moves_on_threes_and_held_frames_are_equal(painter: Painter):
    frames = list(painter.frames("talk", 24))
    changed = [n for n in range(1, 24) if not np.array_equal(frames[n], frames[n - 1])]
    assert changed and all(n % 3 == 0 for n in changed)
    # A shape that returns is the same drawing: the mouth flap A-B-A.
    assert np.array_equal(frames[0], frames[6])


def test_talking_changes_the_mouth_alone(painter: Painter):
    change = np.abs(painter.frame("talk", 0).astype(int) - painter.frame("talk", 3)).max(axis=2)
    rows, columns = np.nonzero(change)
    assert rows.min() > 80 and rows.max() < 160 and columns.min() > 120 and columns.max() < 200


def test_eyes_blink(painter: Painter):
    assert not np.array_equal(painter.frame("talk", 24)[60:110], painter.frame("talk", 33)[60:110])


def test_second_character_slides_on_twos(painter: Painter):
    actor = SHOTS["slide"].actors[1]
    places = [actor.place_at(n)[0] for n in range(12)]
    assert all(places[n] == places[n + 1] for n in range(0, 12, 2)) and len(set(places)) == 6
    assert not np.array_equal(painter.frame("slide", 40)[:, 220:], painter.frame("slide", 42)[:, 220:])


def test_background_pans_by_whole_pixels(painter: Painter):
    a, b = painter.frame("pan", 10), painter.frame("pan", 12)
    assert np.array_equal(a[:140, 3:], b[:140, :-3])  # above the railing; 3 design pixels a frame, at half size


def test_shots_end_in_hard_cuts(painter: Painter):
    before, cut = painter.frame("mixed", 71).astype(int), painter.frame("mixed", 72).astype(int)
    assert np.abs(cut - before).mean() > 30
    assert np.array_equal(cut, painter.frame("slide", 0))


@pytest.mark.parametrize("shot", ["talk", "title"])
def test_larger_picture_is_the_clean_original_of_the_small_one(painter: Painter, shot: str):
    small, large = painter.frame(shot, 4).astype(float), render(shot, 4, 720).astype(float)
    assert large.shape == (720, 1280, 3)
    assert np.abs(cv2.resize(large, (320, 180), interpolation=cv2.INTER_AREA) - small).mean() < 1.0


def test_seed_changes_the_paintings(painter: Painter):
    assert not np.array_equal(painter.frame("title", 0), render("title", 0, 180, seed=1))


@pytest.mark.parametrize("height", [0, 72, 181, 240])
def test_height_that_is_not_16_to_9_is_refused(height: int):
    with pytest.raises(ValueError, match=f"height is {height}; accepted are multiples of 18 from 90 up"):
        Painter(height)


def test_frames_cannot_be_written_to(painter: Painter):
    with pytest.raises(ValueError, match="read-only"):
        painter.frame("title", 0)[0, 0] = 0
