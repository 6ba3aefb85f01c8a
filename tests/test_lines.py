"""Line enhancement against the reference's numbers and against its definition."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from train.data import pseudo_gt as lines
from vsapisr.errors import ArgumentError


@pytest.fixture(scope="module")
def drawing(fixtures_dir):
    """The input as RGB and the expected arrays, turned from BGR to RGB."""
    image = cv2.imread(str(fixtures_dir / "lines_input.png"))[..., ::-1]
    with np.load(fixtures_dir / "lines_expected.npz") as file:
        expected = {name: file[name] for name in file}
    for name in ("usm1", "usm3", "pseudo_gt"):
        expected[name] = np.ascontiguousarray(expected[name][..., ::-1])
    return np.ascontiguousarray(image), expected


def blocks(seed: int, height: int, width: int) -> np.ndarray:
    """Flat areas with hard edges and thin lines: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 200, np.uint8)
    for _ in range(12):
        y, x = rng.integers(height), rng.integers(width)
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.rectangle(image, (int(x), int(y)), (int(x + rng.integers(1, 60)), int(y + rng.integers(1, 60))), colour, -1)
        cv2.line(image, (int(x), int(y)), tuple(int(v) for v in rng.integers(0, 100, 2)), (0, 0, 0), 1)
    return image


def test_sharpening_matches_the_reference(drawing):
    image, expected = drawing
    once, _, thrice = lines.sharpen(image.astype(np.float32))
    assert np.abs(once - expected["usm1"]).max() <= 0.2
    assert np.abs(thrice - expected["usm3"]).max() <= 0.2


def test_maps_match_the_reference_pixel_for_pixel(drawing):
    _, expected = drawing
    raw = lines.xdog(expected["usm3"], float(expected["gamma"]))
    assert np.count_nonzero(raw != expected["xdog_raw"]) == 0
    assert np.count_nonzero(lines.remove_outliers(raw) != expected["filtered"]) == 0
    assert np.count_nonzero(lines.dilate(lines.remove_outliers(raw)) != expected["dilated"]) == 0


def test_maps_of_the_reference_for_a_whole_drawing():
    plain, arrays = reference.read()
    raw, filtered, dilated = (
        np.unpackbits(arrays[f"maps/{name}"]).reshape(plain["maps"]).astype(bool)
        for name in ("xdog_raw", "filtered", "dilated")
    )
    assert np.array_equal(lines.remove_outliers(raw), filtered) and np.array_equal(lines.dilate(filtered), dilated)
    assert filtered.sum() < raw.sum() < dilated.sum()


def test_whole_chain_matches_the_reference(drawing):
    image, expected = drawing
    made = lines.enhance(image, float(expected["gamma"]))
    differs = made.map != expected["dilated"]
    assert differs.mean() <= 0.001
    assert (
        np.abs(made.pseudo_gt.astype(float) - expected["pseudo_gt"])[~differs].max() <= 0.7
    )  # 0.2 and rounding to 8 bits


def test_channel_order_matters(drawing):
    """The fixture would not catch swapped weights of red and blue unless they change the map."""
    _, expected = drawing
    swapped = np.ascontiguousarray(expected["usm3"][..., ::-1])
    assert np.count_nonzero(lines.xdog(swapped, float(expected["gamma"])) != expected["xdog_raw"]) > 100


def definition(image: np.ndarray) -> np.ndarray:
    """One round as the paper has it, both blurs with all 51 taps."""
    residual = image - cv2.GaussianBlur(image, (51, 51), 0)
    soft = cv2.GaussianBlur((np.abs(residual) > 10).astype(np.float32), (51, 51), 0)
    return soft * np.clip(image + 0.5 * residual, 0, 255) + (1 - soft) * image


@pytest.mark.parametrize(("height", "width"), [(96, 128), (97, 131), (33, 20), (8, 8), (1, 1), (1, 50)])
def test_fast_rounds_equal_the_definition_also_at_borders(height, width):
    image = blocks(1, height, width).astype(np.float32)
    once, twice, _ = lines.sharpen(image)
    assert np.abs(once - definition(image)).max() < 0.05
    # a pixel at the mask's threshold may fall to its other side in later rounds: rare, and small
    assert np.quantile(np.abs(twice - definition(definition(image))), 0.999) < 0.1


def flood_fill(lines_map: np.ndarray, smallest: int) -> np.ndarray:
    """The outlier filter in plain Python: the definition."""
    todo = {(int(y), int(x)) for y, x in np.argwhere(lines_map)}
    result = np.zeros_like(lines_map)
    while todo:
        region, stack = [], [todo.pop()]
        while stack:
            y, x = stack.pop()
            region.append((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in todo:
                    todo.remove(near)
                    stack.append(near)
        if len(region) >= smallest:
            result[tuple(np.array(region).T)] = True
    return result


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 40), width=st.integers(1, 40), share=st.floats(0, 0.6))
def test_map_operations_equal_their_definitions(seed, height, width, share):
    raw = np.random.default_rng(seed).random((height, width)) < share
    filtered = lines.remove_outliers(raw)
    assert np.array_equal(filtered, flood_fill(raw, 32))
    padded = np.pad(raw.astype(int), 1)
    around = sum(np.roll(padded, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)[1:-1, 1:-1]
    assert np.array_equal(lines.dilate(raw), raw | (around >= 3))


def test_pseudo_gt_takes_lines_from_thrice_and_the_rest_from_the_base():
    image = blocks(5, 96, 128)
    made, plain = lines.enhance(image), lines.enhance(image, base="plain")
    assert 0 < made.map.sum() < made.map.size
    assert np.array_equal(made.map, plain.map)
    assert np.array_equal(made.pseudo_gt[made.map], np.rint(made.thrice[made.map]).astype(np.uint8))
    assert np.array_equal(made.pseudo_gt[~made.map], np.rint(made.once[~made.map]).astype(np.uint8))
    assert np.array_equal(plain.pseudo_gt[~plain.map], image[~plain.map])
    assert not np.array_equal(made.pseudo_gt, plain.pseudo_gt)


@pytest.mark.parametrize("level", [0, 7, 255])
def test_flat_images_have_no_lines_and_do_not_change(level):
    image = np.full((40, 48, 3), level, np.uint8)
    made = lines.enhance(image)
    assert not made.map.any()
    assert np.array_equal(made.pseudo_gt, image)


def test_input_is_left_alone_and_result_is_repeatable():
    image = blocks(3, 80, 88).astype(np.float32)
    before = image.copy()
    first, second = lines.enhance(image), lines.enhance(image)
    assert np.array_equal(image, before)
    assert np.array_equal(first.pseudo_gt, second.pseudo_gt)


@pytest.mark.parametrize(
    ("shape", "options", "word"),
    [
        ((4, 4), {}, "shape"),
        ((4, 4, 4), {}, "shape"),
        ((0, 4, 3), {}, "shape"),
        ((4, 4, 3), {"base": "best"}, "sharpened"),
        ((4, 4, 3), {"gamma": 1.5}, "gamma"),
    ],
)
def test_wrong_arguments_are_named(shape, options, word):
    with pytest.raises(ArgumentError, match=word):
        lines.enhance(np.zeros(shape, np.uint8), **options)
