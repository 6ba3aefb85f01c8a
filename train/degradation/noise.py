"""Gaussian and Poisson noise, coloured or grey, as in Real-ESRGAN, drawn by table.

A random number of 16 bits picks a quantile of the normal distribution from a table: one look-up where a sampler needs
tens of nanoseconds. Poisson counts come from tables with 256 quantiles for each of the 256 levels, so that a level and
a random byte side by side are the place to look; strips of rows take their quantiles from one of eight such tables,
each between those of the others. Without the library (:mod:`.compiled`) all is done strip by strip, so that it stays in
the processor's cache, with the same random numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np

from .compiled import steps
from .resize import to_bytes, to_float

__all__ = ["gaussian", "poisson", "poisson_peak"]

TABLES = 8
STRIP = 24
"""Rows of a strip: a multiple of 8, so that it takes whole random numbers of 64 bits, whatever the width."""
WIDE_LUT = int(cv2.__version__.split(".")[0]) >= 5  # from OpenCV 5 on ``LUT`` takes 16 bits


@lru_cache(maxsize=1)
def normal_table() -> np.ndarray:
    """(65536,) float32: standard normal quantiles at the middles of equal shares, up to 4.3 sigma."""
    inverse = NormalDist().inv_cdf
    half = np.array([inverse((n + 0.5) / 65536) for n in range(32768)])
    return np.concatenate([half, -half[::-1]]).astype(np.float32)


@lru_cache(maxsize=9)
def poisson_tables(peak: int) -> np.ndarray:
    """(8, 65536) float32: Poisson(level/255 * peak)/peak - level/255 for 256 * level + n, at the middle of the n-th of
    256 equal shares, moved a little from table to table: together the middles of 2048 equal shares.
    """
    shares = (np.arange(256 * TABLES) + 0.5) / (256 * TABLES)
    counts = np.arange(int(peak + 8 * math.sqrt(peak) + 12))
    log_factorial = np.array([math.lgamma(n + 1) for n in counts])
    quantiles = np.zeros((256, 256 * TABLES), np.float32)
    for level in range(1, 256):
        mean = level / 255 * peak
        cumulative = np.cumsum(np.exp(counts * math.log(mean) - mean - log_factorial))
        quantiles[level] = np.searchsorted(cumulative, shares) / peak - level / 255
    return np.ascontiguousarray(quantiles.reshape(256, 256, TABLES).transpose(2, 0, 1)).reshape(TABLES, -1)


def random_words(start: int, place: int, count: int) -> np.ndarray:
    """(count,) uint64: SplitMix64's numbers (Steele, Lea and Flood 2014) from ``place`` on, of the sequence
    ``start``.
    """
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.arange(place + 1, place + count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _random(start: int, strip: int, shape: tuple[int, int, int], kind: type[np.unsignedinteger]) -> np.ndarray:
    """``kind`` (8 or 16 bits) of ``shape`` for a strip, which has no more than STRIP rows."""
    each = 8 // np.dtype(kind).itemsize
    words = STRIP * shape[1] * shape[2] // each  # of every strip: whole ones, whatever the width
    count = math.prod(shape)
    return random_words(start, strip * words, -(-count // each)).view(kind)[:count].reshape(shape)


def _look_up(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``table``, (65536,) float32, at each uint16 of ``index`` (H, W, C)."""
    if WIDE_LUT:
        return cv2.LUT(index, table).reshape(index.shape)
    return table.take(index, mode="wrap")


def _strips(height: int) -> list[slice]:
    return [slice(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]


def _add(image: np.ndarray, noise: np.ndarray, amount: float, result: np.ndarray) -> None:
    """``result`` = ``image`` + ``amount`` * ``noise``; noise of one channel goes to all three."""
    if noise.shape[2] != image.shape[2]:
        noise = cv2.merge([noise] * image.shape[2])
    cv2.scaleAdd(noise, amount, image, dst=result)


def gaussian(image: np.ndarray, rng: np.random.Generator, sigma: float, grey: bool) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1], or uint8 taken as that, with noise of standard deviation ``sigma`` (of 255) added:
    float32, not clamped.
    """
    start, strips, library = rng.bit_generator.random_raw(), _strips(len(image)), steps()
    if library is not None:
        return library.noise(
            image, None, start, normal_table(), np.zeros(len(strips), np.int32), STRIP, sigma / 255, grey
        )
    image = to_float(image) if image.dtype == np.uint8 else image
    result = np.empty_like(image)
    for number, rows in enumerate(strips):
        index = _random(start, number, (len(image[rows]), image.shape[1], 1 if grey else 3), np.uint16)
        _add(image[rows], _look_up(normal_table(), index), sigma / 255, result[rows])
    return result


def to_levels(image: np.ndarray, grey: bool) -> np.ndarray:
    """(H, W, 3) float32 or uint8 -> its 8-bit levels (H, W, 3) or those of its luma (H, W, 1)."""
    if grey:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if image.dtype != np.uint8:
        image = to_bytes(image)
    return image[..., None] if grey else image


def poisson_peak(levels: np.ndarray) -> int:
    """Photons at full white: the number of different levels in the picture, rounded up to a power of two."""
    counts = np.zeros(256)
    for rows in _strips(len(levels)):
        part = levels[rows]
        counts += cv2.calcHist(
            [part.reshape(len(part), -1)], [0], None, [256], [0, 256]
        ).ravel()  # of all channels together
        used = int(np.count_nonzero(counts))
        if used > 128:  # most pictures show it in the first rows
            break
    return 1 << max(used - 1, 1).bit_length()


def poisson(image: np.ndarray, rng: np.random.Generator, scale: float, grey: bool) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1], or uint8 taken as that, with ``scale`` times the shot noise of its 8-bit levels
    added: float32, not clamped.
    """
    levels, library = to_levels(image, grey), steps()
    tables, order = poisson_tables(poisson_peak(levels)), rng.permutation(TABLES)
    start, strips = rng.bit_generator.random_raw(), _strips(len(image))
    if library is not None:
        return library.noise(
            image, levels, start, tables, np.resize(order, len(strips)).astype(np.int32), STRIP, scale, grey
        )
    image = to_float(image) if image.dtype == np.uint8 else image
    result = np.empty_like(image)
    for number, rows in enumerate(strips):
        part = levels[rows]
        pairs = cv2.merge(
            [_random(start, number, part.shape, np.uint8).reshape(len(part), -1), part.reshape(len(part), -1)]
        )
        index = pairs.view("<u2").reshape(part.shape)  # 256 * level + the random byte
        _add(image[rows], _look_up(tables[order[number % TABLES]], index), scale, result[rows])
    return result
