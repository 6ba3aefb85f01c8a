"""The plan of tiles, over all small sizes and by properties for the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsapisr.picture import tiles


def check_spans(length: int, tile: int, overlap: int) -> None:
    found = tiles.spans(length, tile, overlap)
    total = tiles.padded(length)
    assert [s.keep_start for s in found] == [0, *(s.keep_stop for s in found[:-1])] and found[-1].keep_stop == length
    for number, span in enumerate(found):
        assert span.start % 8 == 0 and span.keep_start % 8 == 0
        assert 0 <= span.start <= span.keep_start < span.keep_stop <= span.stop <= length
        assert tiles.padded(span.stop - span.start) == min(tile, total), "all tiles of a plan have one padded size"
        if number:
            assert span.keep_start - span.start >= overlap
        if number + 1 < len(found):
            assert span.keep_stop % 8 == 0 and span.stop - span.keep_stop >= overlap
    # one tile less could not keep everything
    assert len(found) == 1 or (len(found) - 1) * (tile - 2 * overlap) + 2 * overlap < total


def test_spans_of_every_small_length():
    for length in range(1, 200):
        for overlap in (0, 8, 16, 24):
            for tile in range(2 * overlap + 8, 128, 8):
                check_spans(length, tile, overlap)


@settings(deadline=None)
@given(st.integers(1, 8192), st.integers(1, 64), st.integers(0, 8))
def test_spans_of_any_length(length, kept, overlap):
    check_spans(length, 16 * overlap + 8 * kept, 8 * overlap)


def test_plan_is_in_reading_order():
    plan = tiles.plan(100, 60, (64, 48), 16)
    assert [(t.y.keep_start, t.x.keep_start) for t in plan] == sorted((t.y.keep_start, t.x.keep_start) for t in plan)
    assert sum((t.y.keep_stop - t.y.keep_start) * (t.x.keep_stop - t.x.keep_start) for t in plan) == 6000


@settings(deadline=None)
@given(st.integers(1, 4320), st.integers(1, 7680), st.integers(1, 1 << 20), st.integers(0, 4))
def test_automatic_tiles_fit(height, width, pixels, overlap):
    overlap *= 8
    tile = tiles.automatic(width, height, pixels, overlap)
    assert tile[0] % 8 == tile[1] % 8 == 0
    for side, length in zip(tile, (width, height)):
        assert side >= tiles.padded(length) or side > 2 * overlap
    smallest = (2 * overlap + 8) ** 2
    if min(width, height) > 2 * overlap + 8:
        assert tile[0] * tile[1] <= max(pixels, smallest)


@pytest.mark.parametrize(
    ("pixels", "tile"), [(1 << 20, (640, 360)), (640 * 360, (640, 360)), (640 * 360 - 1, (336, 360))]
)
def test_whole_frame_when_it_fits(pixels, tile):
    assert tiles.automatic(640, 360, pixels, 16) == tile


def test_wide_tiles_are_wide_and_keep_every_pixel_once():
    made = tiles.plan(100, 60, (48, 32), 8)
    assert {tile.x.stop - tile.x.start for tile in made} <= {48, 100 - 56} and len({t.x for t in made}) == 3
    assert {tile.y.stop - tile.y.start for tile in made} <= {32, 60 - 32} and len({t.y for t in made}) == 3
    assert sum(tile.kept for tile in made) == 100 * 60
    assert [(t.y.keep_start, t.x.keep_start) for t in made] == sorted((t.y.keep_start, t.x.keep_start) for t in made)
    assert tiles.Tile(tiles.Span(0, 40, 8, 32), tiles.Span(0, 48, 16, 40)).kept == 24 * 24


def test_of_equal_work_fewer_tiles_are_taken():
    assert tiles.automatic(64, 64, 64 * 64, 0) == (64, 64)
    assert tiles.automatic(64, 32, 32 * 32, 0) == (32, 32), "two tiles, not four or eight of the same pixels in all"
    assert tiles.automatic(200, 200, 1, 8) == (24, 24), "the least that keeps a window"


@pytest.mark.parametrize("multiple", [1, 4, 8, 16])
@pytest.mark.parametrize("overlap", [0, 1, 3])
def test_the_smallest_tiles_are_never_larger_than_they_need(multiple, overlap):
    """So that one always fits, however few pixels a tile may have and however long and thin the frame is."""
    least = 2 * overlap * multiple + multiple
    for width, height in ((1, 1), (1, 40 * multiple), (200, 3), (least, least - 1), (97, 61)):
        w, h = tiles.automatic(width, height, 1, overlap * multiple, multiple)
        assert w * h <= least**2 and tiles.plan(width, height, (w, h), overlap * multiple, multiple)
