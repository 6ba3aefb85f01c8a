"""The compiled steps of the degradation (``train/degradation/native``), for processors with AVX2 or AVX-512.

Where the library is missing or cannot be used, :func:`steps` is None and the callers do the same with OpenCV and NumPy,
slower. Pictures are (H, W, 3), float32, or uint8 that is taken as 0..1; results are float32 unless it says otherwise.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

from vsapisr import libraries

__all__ = ["Compiled", "steps"]

VARIABLE = "VSAPISR_DEGRADE"
"""Environment: ``0`` to do without, or the path of a library; read once."""
ABI = 1
"""VSAPISR_DEGRADE_ABI of native/degrade.h, which the structures below repeat."""
POINTER, LONG = ctypes.c_void_p, ctypes.c_long


class _Picture(ctypes.Structure):
    _fields_ = [("image", POINTER), ("bytes", LONG), ("height", LONG), ("width", LONG), ("result", POINTER)]


class _Noise(ctypes.Structure):
    _fields_ = [("levels", POINTER), ("start", ctypes.c_uint64), ("tables", POINTER), ("order", POINTER), ("strip",
                LONG),
                ("grey", LONG), ("amount", ctypes.c_float)]  # fmt: skip


class _Axis(ctypes.Structure):
    _fields_ = [("count", LONG), ("taps", LONG), ("first", POINTER), ("weights", POINTER)]


class _Steps(ctypes.Structure):
    _fields_ = [
        ("passes", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Picture), LONG, POINTER, LONG, POINTER, LONG)),
        ("taps", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Picture), POINTER, LONG, LONG)),
        ("noise", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Picture), ctypes.POINTER(_Noise))),
        ("reduce", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Picture), ctypes.POINTER(_Axis),
        ctypes.POINTER(_Axis))),
        ("to_bytes", ctypes.CFUNCTYPE(None, POINTER, POINTER, LONG)),
    ]  # fmt: skip


def _address(array: np.ndarray | None, *kinds: type) -> int | None:
    """Where its values are; they must lie one after the other, as the library takes them."""
    if array is None:
        return None
    if array.dtype not in kinds or not array.flags.c_contiguous:
        raise TypeError(f"{array.dtype} {array.shape} with strides {array.strides} cannot go to the library")
    return array.ctypes.data


def _checked(failed: int) -> None:
    if failed:
        raise MemoryError("not enough memory for a step of the degradation")


class Compiled:
    """The steps in one instruction set."""

    def __init__(self, table: _Steps):
        self._table = table

    def _picture(self, image: np.ndarray, result: np.ndarray) -> _Picture:
        height, width, channels = image.shape
        if channels != 3 or not image.size:
            raise ValueError(f"{image.shape}: not (H, W, 3)")
        values, to = _address(image, np.float32, np.uint8), _address(result, np.float32)
        return _Picture(values, image.dtype == np.uint8, height, width, to)

    def passes(self, image: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The sum over n of filtering with ``columns[n]``, then ``rows[n]``, (N, odd) float32, with borders
        reflected.
        """
        result = np.empty(image.shape, np.float32)
        (count, tall), wide = columns.shape, rows.shape[1]
        if len(rows) != count:
            raise ValueError(f"passes: {count} columns and {len(rows)} rows")
        _checked(self._table.passes(self._picture(image, result), count, _address(columns, np.float32), tall,
                                    _address(rows, np.float32), wide))  # fmt: skip
        return result

    def taps(self, image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """Filtering with ``kernel``, (odd, odd) float32, with borders reflected."""
        result = np.empty(image.shape, np.float32)
        _checked(self._table.taps(self._picture(image, result), _address(kernel, np.float32), *kernel.shape))
        return result

    def noise(
        self, image: np.ndarray, levels: np.ndarray | None, start: int, tables: np.ndarray, order: np.ndarray,
        strip: int,
        amount: float, grey: bool,
    ) -> np.ndarray:  # fmt: skip
        """``image`` + ``amount`` * noise, which is ``tables[order[row // strip]]`` at 16 random bits, or at 256 *
        ``levels`` (H, W, 3 or 1) uint8 + 8 random bits; they begin at ``start``. Grey noise is the same in all three
        channels.
        """
        result = np.empty(image.shape, np.float32)
        if (
            strip % 8
            or order.size * strip < len(image)
            or order.max() >= tables.size // 65536
            or (levels is not None and levels.shape != (*image.shape[:2], 1 if grey else 3))
        ):
            raise ValueError("noise: fewer strips, tables or levels than the picture needs")
        places = _address(tables, np.float32), _address(order, np.int32)
        noise = _Noise(_address(levels, np.uint8), start, *places, strip, grey, amount)
        _checked(self._table.noise(self._picture(image, result), noise))
        return result

    def reduce(
        self, image: np.ndarray, down: tuple[np.ndarray, np.ndarray], across: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """Each output the sum of inputs from ``first`` (N,) int32 on, times ``weights`` (N, taps) float32: the axes as
        (first, weights), down and across.
        """
        for (first, weights), size in zip((down, across), image.shape):
            if first.min() < 0 or first.max() + weights.shape[1] > size or len(first) != len(weights):
                raise ValueError("reduce: inputs that the picture does not have")
        result = np.empty((len(down[0]), len(across[0]), 3), np.float32)
        y, x = (
            _Axis(*part[1].shape, _address(part[0], np.int32), _address(part[1], np.float32)) for part in (down, across)
        )
        _checked(self._table.reduce(self._picture(image, result), y, x))
        return result

    def to_bytes(self, values: np.ndarray) -> np.ndarray:
        """float32 of any shape -> uint8: clamped to 0..1, times 255, rounded, halves to even."""
        result = np.empty(values.shape, np.uint8)
        self._table.to_bytes(_address(values, np.float32), _address(result, np.uint8), values.size)
        return result


@cache
def steps(level: int | None = None) -> Compiled | None:
    """In the best instruction set of this processor, or, for tests, in that of ``level`` (1: AVX2, 2: AVX-512); None if
    there is none.
    """
    sizes = map(ctypes.sizeof, (_Picture, _Noise, _Axis, _Steps))
    library = libraries.load(__file__, "degrade", VARIABLE, "vsapisr_degrade_abi", ABI, *sizes)
    if library is None:
        return None
    try:
        best = library.vsapisr_degrade_level()
        library.vsapisr_degrade_steps.restype = ctypes.POINTER(_Steps)
        level = best if level is None else level
        table = library.vsapisr_degrade_steps(level) if 0 < level <= best else None
    except AttributeError:  # of another version
        return None
    return Compiled(table.contents) if table else None
