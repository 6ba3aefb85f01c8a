"""What holding does most, in C (``vsapisr/networks/cpu/native/hold*.c``), without the interpreter's lock.

Every function gives, bit for bit, what the same in NumPy gives, and None where the library cannot do it: then NumPy
does.
``VSAPISR_NATIVE=0`` turns it off, with the CPU kernels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np

from vsapisr import libraries
from vsapisr.networks.cpu import network

__all__ = ["box", "fits", "gradients", "means", "products", "shift", "slack", "step"]

P, N, F = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_float
SIGNATURES = {
    "means": (ctypes.c_int, P, P, P, N, N, N, N, N, P, P),
    "gradients": (P, N, N, P, P),
    "slack": (P, N, N, N, N, P),
    "fits": (P, N, P, P, P, P),
    "box": (P, N, N, N, N, P),
    "products": (P, P, N, N, P),
    "shift": (P, N, F, P),
    "step": (P, N, P, P),
}
ABI = 1
"""The first number of vsapisr_hold_abi in hold.c."""
MOST_FRAMES = 256
"""MOST of hold_means.c."""


class PlaneStruct(ctypes.Structure):
    _fields_ = [(name, P) for name in ("values", "total", "slack")] + [
        (name, N) for name in ("height", "width", "rows", "columns")
    ]


class LimitsStruct(ctypes.Structure):
    _fields_ = [
        ("values", P),
        ("around", N),
        ("region", N),
        *((name, F) for name in ("shifted", "explained", "strong", "loose", "lapse")),
        ("more", F * 3),
        ("pitch", F),
    ]


@cache
def library() -> ctypes.CDLL | None:
    """The library of CPU kernels, if it has these functions: they need no instruction set."""
    sizes = map(ctypes.sizeof, (PlaneStruct, LimitsStruct))
    found = libraries.load(network.__file__, "cpu", network.VARIABLE, "vsapisr_hold_abi", ABI, *sizes)
    try:
        for name, arguments in SIGNATURES.items() if found else ():
            function = getattr(found, f"vsapisr_hold_{name}")
            function.argtypes, function.restype = arguments, ctypes.c_int
    except AttributeError:  # of before there were these
        return None
    return found


def at(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def table(arrays: Sequence[np.ndarray]) -> ctypes.Array:
    return (P * len(arrays))(*map(at, arrays))


def usable(*arrays: np.ndarray) -> ctypes.CDLL | None:
    """The library, if these are float32 without gaps."""
    found = library()
    plain = found and all(array.dtype == np.float32 and array.flags.c_contiguous for array in arrays)
    return found if plain else None


def done(status: int) -> None:
    if not status:
        raise MemoryError


def means(
    frames: Sequence[np.ndarray], names: np.ndarray, counted: np.ndarray, rows: int, columns: int
) -> list[np.ndarray] | None:
    """:func:`.means.means` of one plane of each frame; ``names`` int16 and ``counted`` bool are (frames, blocks)."""
    lib, first = library(), frames[0]
    kind = 0 if first.dtype == np.float32 else first.itemsize
    alike = all(plane.shape == first.shape and plane.strides[1] == plane.itemsize for plane in frames)
    if not lib or not alike or kind > 2 or (kind == 0) != (first.dtype.kind == "f") or len(frames) > MOST_FRAMES:
        return None
    out = [np.empty(first.shape, first.dtype) for _ in frames]
    strides = (N * len(frames))(*(plane.strides[0] for plane in frames))
    names, counted = np.ascontiguousarray(names, np.int16), np.ascontiguousarray(counted, bool)
    done(
        lib.vsapisr_hold_means(
            kind, table(frames), table(out), strides, len(frames), *first.shape, rows, columns, at(names), at(counted)
        )
    )
    return out


def gradients(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """:func:`.grids.gradients`."""
    if (lib := usable(values)) is None or values.ndim != 2:
        return None
    right, down = np.empty_like(values), np.empty_like(values)
    lib.vsapisr_hold_gradients(at(values), *values.shape, at(right), at(down))
    return right, down


def slack(plane: np.ndarray, rows: int, columns: int) -> np.ndarray | None:
    """:func:`.stretches.slack`."""
    if (lib := usable(plane)) is None:
        return None
    found = np.empty((3, plane.shape[0] // rows, plane.shape[1] // columns), np.float32)
    done(lib.vsapisr_hold_slack(at(plane), *plane.shape, rows, columns, at(found)))
    return found


def fits(
    planes: Sequence[np.ndarray],
    totals: Sequence[np.ndarray],
    slack: Sequence[np.ndarray],
    sides: Sequence[tuple[int, int]],
    counts: np.ndarray,
    limits: np.ndarray,
    constants: tuple,
    asked: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """:meth:`.stretches.Places.fits`; ``slack`` (3, rows, columns) each, ``limits`` (5, rows, columns)."""
    if (lib := usable(*planes, *totals, *slack, counts, limits)) is None:
        return None
    parts = [
        PlaneStruct(at(plane), at(total), at(more), *plane.shape, *side)
        for plane, total, more, side in zip(planes, totals, slack, sides)
    ]
    good, near = asked.copy(), np.empty_like(asked)
    bars = LimitsStruct(at(limits), *constants)
    structs = (PlaneStruct * len(parts))(*parts)
    done(lib.vsapisr_hold_fits(structs, len(parts), at(counts), ctypes.byref(bars), at(good), at(near)))
    return good, near


def box(grids: np.ndarray, reach: int) -> np.ndarray | None:
    """:func:`.grids.box`."""
    if (lib := usable(grids)) is None:
        return None
    found = np.empty_like(grids)
    height, width = grids.shape[-2:]
    done(lib.vsapisr_hold_box(at(grids), grids.size // (height * width), height, width, reach, at(found)))
    return found


def products(picture: np.ndarray, difference: np.ndarray) -> np.ndarray | None:
    """The sums of :class:`.motion.Products`, (6, rows, columns), and of x, y and d: (9, rows, columns) in all."""
    if (lib := usable(picture, difference)) is None or picture.shape[0] % 2 or picture.shape[1] % 2:
        return None
    found = np.empty((9, picture.shape[0] // 2, picture.shape[1] // 2), np.float32)
    done(lib.vsapisr_hold_products(at(picture), at(difference), *picture.shape, at(found)))
    return found


def shift(sums: np.ndarray, pitch: float) -> np.ndarray | None:
    """The end of :meth:`.motion.Products.shift`: (4, rows, columns)."""
    if (lib := usable(sums)) is None:
        return None
    found = np.empty((4, *sums.shape[1:]), np.float32)
    lib.vsapisr_hold_shift(at(sums), sums[0].size, pitch, at(found))
    return found


def step(sums: np.ndarray) -> tuple[float, float, float, np.float32] | None:
    """:func:`.motion.step` of (9, rows, columns) sums: shift in values along x and y, offset, and the median of the
    energy that is left."""
    if (lib := usable(sums)) is None:
        return None
    way, rest = (ctypes.c_double * 3)(), F()
    done(lib.vsapisr_hold_step(at(sums), sums[0].size, way, ctypes.byref(rest)))
    return way[0], way[1], way[2], np.float32(rest.value)
