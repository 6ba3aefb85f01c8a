"""Colour, sharpness, lines, spots and flicker on cases made so that the answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from train.evaluation.colour_error import ciede2000, colour_error, lab, spots
from train.evaluation.flicker import flicker, held
from train.evaluation.sharpness import edge_width, find_edges, line_contrast, line_map

from .clips import drawing

# L a b, L a b, difference: the test data of Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula" (2005),
# table 1
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425         50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412         50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000        50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669                           50 -1 2 50 0 0 2.3669
50 2.4900 -0.0010 50 -2.4900 0.0009 7.1792      50 2.4900 -0.0010 50 -2.4900 0.0010 7.1792
50 2.4900 -0.0010 50 -2.4900 0.0011 7.2195      50 2.4900 -0.0010 50 -2.4900 0.0012 7.2195
50 -0.0010 2.4900 50 0.0009 -2.4900 4.8045      50 -0.0010 2.4900 50 0.0010 -2.4900 4.8045
50 -0.0010 2.4900 50 0.0011 -2.4900 4.7461      50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492                      50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030                      50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000                50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000                50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def test_ciede2000_published_pairs() -> None:
    rows = np.array(SHARMA.split(), float).reshape(-1, 7)
    assert len(rows) == 34
    assert ciede2000(rows[:, :3], rows[:, 3:6]) == pytest.approx(rows[:, 6], abs=5e-5)
    assert ciede2000(rows[:, 3:6], rows[:, :3]) == pytest.approx(rows[:, 6], abs=5e-5), "it is symmetric"


def test_lab_of_primaries() -> None:
    """The usual values of sRGB's red, green, blue and white under D65."""
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    expected = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0]]
    assert lab(image)[0] == pytest.approx(np.array(expected), abs=0.05)


def test_colour_error_sees_a_cast() -> None:
    image = drawing(3, 96, 64)
    cast = np.clip(image.astype(int) + [6, 0, -6], 0, 255).astype(np.uint8)
    assert colour_error(image, image) == 0 and 1.5 < colour_error(image, cast) < 8


def step_edge(sigma: float) -> np.ndarray:
    """A vertical edge of 40 to 200, blurred; its middle lies between two pixels."""
    x = np.arange(96, dtype=np.float64) - 47.5
    profile = np.where(x > 0, 200.0, 40.0)
    if sigma:
        profile = cv2.GaussianBlur(profile[None], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0]
    return np.repeat(np.repeat(profile[None, :, None], 64, 0), 3, 2).round().astype(np.uint8)


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_edge_width_by_hand(sigma: float) -> None:
    """A step has width 1; a Gaussian's steepest slope is its height over sqrt(2 pi) sigma."""
    expected = max(1.0, np.sqrt(2 * np.pi) * sigma)
    edges = find_edges(step_edge(1.0))
    assert len(edges[0]) and edge_width(step_edge(sigma), edges) == pytest.approx(expected, rel=0.06)


def test_edge_width_orders_methods() -> None:
    """An original is sharper than what an interpolation makes of its quarter, whatever the direction of an edge."""
    gt = drawing(5, 256, 192, shapes=30)
    small = cv2.resize(gt, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    linear, cubic = (cv2.resize(small, (256, 192), interpolation=k) for k in (cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    widths = [edge_width(image, find_edges(gt)) for image in (gt, cubic, linear)]
    assert widths == sorted(widths) and widths[2] > 1.5 * widths[0]
    assert np.isnan(edge_width(np.full_like(gt, 90), find_edges(gt))), "nothing rises there"
    assert np.isnan(edge_width(gt, find_edges(np.full_like(gt, 90))))


def test_line_contrast_by_hand() -> None:
    """A line of 3 pixels, 100 levels of grey darker: 100 * 219/255 in luma; half as deep when half as dark."""
    image = np.full((64, 64, 3), 200, np.uint8)
    image[:, 30:33] = 100
    faded = np.where(image == 100, 150, image).astype(np.uint8)
    lines = line_map(image)
    assert set(np.nonzero(lines)[1]) == {30, 31, 32}
    assert line_contrast(image, lines) == pytest.approx(100 * 219 / 255, abs=0.1)
    assert line_contrast(faded, lines) == pytest.approx(50 * 219 / 255, abs=0.1)
    assert line_contrast(np.roll(image, 1, 1), lines) == pytest.approx(100 * 219 / 255, abs=0.1), "moved by a pixel"
    assert np.isnan(line_contrast(image, line_map(np.full_like(image, 9))))


def test_spots_are_found_and_nothing_else() -> None:
    gt = drawing(2, 256, 192, shapes=20)
    source = cv2.resize(gt, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    assert spots(gt, source).clusters == 0, "undoing blur is no fault"
    grey = cv2.cvtColor(cv2.cvtColor(gt, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    grey_source = cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    assert spots(grey, grey_source).share == 0
    broken = grey.copy()
    broken[50:56, 80:86], broken[120:124, 30:35], broken[10, 10] = (200, 40, 40), (40, 200, 60), (255, 0, 255)
    found = spots(broken, grey_source)
    assert found.clusters == 2 and found.share == pytest.approx(56 / (256 * 192) * 1e6)
    assert spots(broken, grey_source, broken).share == 0, "what the original has is no spot"
    assert found.map[50:56, 80:86].all() and found.map[120:124, 30:35].all() and not found.map[10, 10]


def test_flicker_counts_what_stands_still() -> None:
    """The left half is held, the right half moves; the enlargement changes by 5 levels of grey everywhere."""
    rng = np.random.default_rng(0)
    before = np.full((32, 64, 3), 128, np.uint8)
    after = before.copy()
    after[:, 32:] = rng.integers(0, 256, (32, 32, 1))
    after[3, 4] += 4  # what a codec leaves
    still = held(before, after)
    assert still.tolist() == [[True, True, False, False]] * 2
    large = [image.repeat(4, 0).repeat(4, 1) for image in (before, after)]
    assert flicker(large[0], large[0] + 5, still) == pytest.approx(5 * 219 / 255)
    assert flicker(large[0], large[1], still) < 0.01
    assert np.isnan(flicker(large[0], large[0], np.zeros((2, 4), bool)))
    line = before.copy()
    line[8, 8:10] = 20
    assert not held(before, line)[0, 0], "a line that appears is a movement, small as it is"
