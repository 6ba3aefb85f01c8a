"""Processes in which threads of VapourSynth's core do not come back: they exit all the same, and are told what fails.

In a child that was forked from a process with filters the core's threads do not exist. Frames that are asked for there
are never made, whatever the filter, and the hook with which VapourSynth frees its core at exit waits for those threads
without end. It does the same for one that is stuck in a filter.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Callable
from typing import ClassVar

from ..errors import DeviceError

__all__ = ["check_not_forked", "frame_made", "leave_core", "watch_forks"]


class _State:
    watching = False
    hooks: ClassVar[list[Callable[[], object]]] = []
    """Of VapourSynth, at exit."""
    frames = False
    """Whether the core has begun its threads, for all that is known here."""
    forked = False
    """From a process in which it had."""


def watch_forks() -> None:
    """From now on children exit cleanly. VapourSynth's hook is found among all objects, as nothing names it."""
    if _State.watching or not hasattr(os, "register_at_fork"):
        return
    _State.watching = True
    _State.hooks = [
        thing
        for thing in gc.get_objects()
        if type(thing).__name__ == "cython_function_or_method"
        and getattr(thing, "__module__", "") == "vapoursynth"
        and "<lambda>" in repr(thing)
    ]

    def in_child() -> None:
        _State.forked = _State.frames
        if _State.frames:
            leave_core()

    os.register_at_fork(after_in_child=in_child)


def leave_core() -> None:
    """VapourSynth is not to free its core at exit. Called by the bridge too, when a call is stuck."""
    for hook in _State.hooks:
        atexit.unregister(hook)


def frame_made() -> None:
    _State.frames = True


def check_not_forked() -> None:
    """
    Raises:
        DeviceError: in a child in which VapourSynth makes no frames.
    """
    if _State.forked:
        raise DeviceError(
            "VapourSynth makes no frames in a process that was forked from one where it did; "
            "start processes with spawn or forkserver"
        )
