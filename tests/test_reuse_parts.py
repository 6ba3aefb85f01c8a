"""Signatures of blocks, and tiles within tiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsapisr.config import WINDOW
from vsapisr.picture import tiles
from vsapisr.picture.colour import GRAY, RGB, YUV, Format
from vsapisr.picture.planes import NUMPY, views
from vsapisr.reuse.cache import same
from vsapisr.reuse.pyramid import CELL, Pyramid, axis_spans
from vsapisr.reuse.signature import BLOCK, signature

FORMATS = [
    Format(GRAY, 0, 8),
    Format(RGB, 0, 16),
    Format(RGB, 1, 32),
    Format(GRAY, 1, 16),
    Format(YUV, 0, 8, 1, 1),
    Format(YUV, 0, 10, 1, 0),
    Format(YUV, 0, 8, 2, 2),
    Format(YUV, 1, 32, 1, 1),
    Format(YUV, 0, 8, 0, 1),
]


def planes_of(format: Format, width: int, height: int, seed: int) -> list[np.ndarray]:
    """Rows lie apart, as in a frame, with something else between them."""
    noise, kind, planes = np.random.default_rng(seed), np.dtype(NUMPY[format.dtype]), []
    for number in range(format.planes):
        down, right = format.subsampling(number)
        memory = noise.integers(0, 256, (height >> down, 64 * kind.itemsize * 4), dtype=np.uint8)
        planes.append(memory.view(kind)[:, : width >> right])
    return planes


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_sample_that_a_tile_reads_is_in_its_key(data):
    format = data.draw(st.sampled_from(FORMATS))
    width, height = 4 * data.draw(st.integers(1, 50)), 4 * data.draw(st.integers(1, 40))
    planes = planes_of(format, width, height, data.draw(st.integers(0, 99)))
    plan = tiles.plan(width, height, (48, 40), 8)
    tile = data.draw(st.sampled_from(plan))
    before = signature(planes, format)
    part = data.draw(st.sampled_from(views(planes, format, tile))).view(np.uint8)
    assert before.key(tile) == signature([plane.copy() for plane in planes], format).key(tile)
    y, x = data.draw(st.integers(0, part.shape[0] - 1)), data.draw(st.integers(0, part.shape[1] - 1))
    part[y, x] ^= 1 << data.draw(st.integers(0, 7))
    after = signature(planes, format)
    assert before.key(tile) != after.key(tile)
    cells = Pyramid(width, height, plan, 8)
    touched = cells.touched(after.changed(before))
    for cell, moved in zip(cells.cells, touched):
        assert moved or before.key(cell) == after.key(cell)
    assert np.array_equal(after.changed(before), before.changed(after))


@pytest.mark.parametrize(
    ("format", "halo"),
    [
        (Format(YUV, 0, 8, 1, 1), (1, 1)), (Format(YUV, 0, 10, 1, 0), (0, 1)), (Format(YUV, 0, 8, 0, 1), (1, 0)),
        (Format(YUV, 0, 8, 2, 2), (2, 2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [1, 2])
def test_how_far_a_tile_sees_in_subsampled_planes(format: Format, halo: tuple[int, int], number: int) -> None:
    """A tile of 2x2 blocks in the middle of 8x8: which changed blocks of chroma are in its key, and which not."""
    planes = planes_of(format, 64, 64, 3)
    before = signature(planes, format)
    tile = tiles.Tile(tiles.Span(24, 40, 24, 40), tiles.Span(24, 40, 24, 40))
    down, right = format.subsampling(number)
    for row, column in np.ndindex(8, 8):
        sample = planes[number].view(np.uint8 if format.bits_per_sample == 8 else np.uint16)
        sample[row * 8 >> down, column * 8 >> right] ^= 1
        after = signature(planes, format)
        seen = 3 - halo[0] <= row <= 4 + halo[0] and 3 - halo[1] <= column <= 4 + halo[1]
        assert (before.key(tile) != after.key(tile)) == seen, (row, column)
        reached = np.zeros((8, 8), bool)
        reached[max(row - halo[0], 0) : row + halo[0] + 1, max(column - halo[1], 0) : column + halo[1] + 1] = True
        assert np.array_equal(after.changed(before), reached)
        sample[row * 8 >> down, column * 8 >> right] ^= 1


@pytest.mark.parametrize("format", [Format(GRAY, 0, 8), Format(GRAY, 0, 16), Format(YUV, 0, 8, 1, 1)])
def test_one_signature_a_block(format: Format) -> None:
    for width, height in ((w, h) for w in range(4, 40, 4) for h in (8, 12)):
        found = signature(planes_of(format, width, height, 1), format)
        for grid in (found.full, found.chroma):
            assert grid is None or grid.shape == (-(-height // 8), -(-width // 8))


def test_signatures_of_many_blocks_differ():
    """Also where changes are small and in the last sample of rows, where a plain sum of products would be weak."""
    plane = np.full((8 * 256, 8 * 64), 90, np.uint8)
    seen = set()
    blocks = plane.reshape(256, 8, 64, 8).transpose(0, 2, 1, 3)
    for number in range(256 * 64):
        blocks[number // 64, number % 64, :, 7] += np.array([number >> 2 * k & 3 for k in range(8)], np.uint8)
    seen = set(signature([plane], Format(GRAY, 0, 8)).full.ravel().tolist())
    assert len(seen) == 256 * 64


def test_bits_are_compared_not_values():
    zeros = np.zeros((2, 3), np.float32)
    assert not same([zeros], [-zeros]) and same([zeros], [zeros.copy()])
    assert same([zeros / np.float32(1) + np.nan], [zeros + np.nan])
    assert not same([zeros], [zeros[:1]])


@pytest.mark.parametrize(
    "size", [(640, 360), (1920, 1080), (854, 480), (320, 180), (61, 700), (8, 8), (1, 1), (130, 66)]
)
@pytest.mark.parametrize("top", [10**9, 640 * 360, 200 * 200])
def test_chosen_tiles_cover_a_frame_once(size, top):
    width, height = size
    plan = tiles.plan(width, height, tiles.automatic(width, height, top, 8), 8)
    pyramid, random = Pyramid(width, height, plan, 8), np.random.default_rng(4)
    grid = -(-height // 8), -(-width // 8)
    moving = np.ones(grid, bool)
    assert pyramid.choose(moving, moving) == pyramid.choose(None, None) == plan
    cells = pyramid.choose(np.zeros(grid, bool), moving)
    assert cells == tuple(pyramid.cells)
    shapes = set()
    for share in (0.3, 0.01, 0.001):
        chosen = pyramid.choose(random.random(grid) < share, random.random(grid) < 10 * share)
        covered = np.zeros((height, width), int)
        for tile in (*chosen, *cells):
            for span, length in ((tile.y, height), (tile.x, width)):
                assert (
                    span.start % WINDOW == 0
                    and 0 <= span.start <= span.keep_start < span.keep_stop <= span.stop <= length
                )
                assert span.start == 0 or span.keep_start - span.start >= 8
                assert span.stop == length or (span.stop - span.keep_stop >= 8 and span.stop % WINDOW == 0)
            shapes.add((tiles.padded(tile.y.stop - tile.y.start), tiles.padded(tile.x.stop - tile.x.start)))
        for tile in chosen:
            covered[tile.y.keep_start : tile.y.keep_stop, tile.x.keep_start : tile.x.keep_stop] += 1
        assert (covered == 1).all()
    assert max(tile.y.keep_stop - tile.y.keep_start for tile in cells) <= CELL
    assert len(shapes) <= 17


def test_a_tile_is_touched_by_the_blocks_it_reads_alone():
    width, height = 328, 200
    pyramid = Pyramid(width, height, tiles.plan(width, height, (width, height), 8), 8)
    random = np.random.default_rng(5)
    shape = (-(-height // BLOCK), -(-width // BLOCK))
    for share in (0.0, 0.005, 0.02, 0.2, 1.0):
        changed = random.random(shape) < share
        wanted = [
            changed[t.y.start // BLOCK : -(-t.y.stop // BLOCK), t.x.start // BLOCK : -(-t.x.stop // BLOCK)].any()
            for t in pyramid.cells
        ]
        assert pyramid.touched(changed).tolist() == wanted
    for place in np.ndindex(*shape):  # one block alone, everywhere
        changed = np.zeros(shape, bool)
        changed[place] = True
        assert pyramid.touched(changed).any()


@pytest.mark.parametrize("side", [4, 2, 1])
def test_what_moves_alone_is_the_largest_tile_that_fits(side: int) -> None:
    """A square of so many cells moves in a frame of 10x6 cells: one tile of it, and cells around."""
    width, height = 640, 384
    pyramid = Pyramid(width, height, tiles.plan(width, height, (width, height), 8), 8)
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True  # of a cell: its neighbours do not see them
    cells = np.zeros((6, 10), bool)
    cells[:side, 4 : 4 + side] = True
    chosen = pyramid.choose(np.kron(cells, inside).astype(bool), None)
    large = [t for t in chosen if t.y.keep_stop - t.y.keep_start > CELL]
    assert len(chosen) == 60 - side**2 + 1 and len(pyramid.cells) == 60
    if side > 1:
        (tile,) = large
        assert (tile.y.keep_start, tile.y.keep_stop) == (0, 64 * side)
        assert (tile.x.keep_start, tile.x.keep_stop) == (256, 256 + 64 * side)
        assert tile.x.stop - tile.x.start == 64 * side + 16, "8 pixels more on both sides"


@pytest.mark.parametrize(("length", "count"), [(408, 7), (520, 9), (600, 10), (640, 10), (648, 11), (64, 1), (72, 2)])
def test_spans_of_as_many_cells_have_one_length(length: int, count: int) -> None:
    spans = axis_spans(tiles.Span(0, length, 0, length), length, 8, 8)
    found: dict[int, set[int]] = {}
    for (first, last), span in spans.items():
        found.setdefault(last - first, set()).add(span.stop - span.start)
        assert span.start == 0 or span.keep_start - span.start >= 8
        assert span.stop == length or span.stop - span.keep_stop >= 8
    assert all(len(lengths) == 1 for lengths in found.values())
    assert sum(last - first == 1 for first, last in spans) == count and max(found[1]) <= min(80, length)
