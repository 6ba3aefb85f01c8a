"""Frames from ``vspipe``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av

from vsapisr.errors import VsapisrError

__all__ = ["PipeError", "VSPipe"]


class PipeError(VsapisrError, RuntimeError):
    """vspipe is missing or failed."""


class VSPipe:
    """``vspipe`` of this very environment, its stderr in a log file; close() ends it in any case."""

    def __init__(self, script: Path, log: Path) -> None:
        beside = shutil.which("vspipe", path=str(Path(sys.executable).parent))
        program = beside or shutil.which("vspipe")
        if program is None:
            raise PipeError(
                f"vspipe was not found beside {sys.executable} nor on the PATH; it comes with the package vapoursynth"
            )
        self.log = log
        # VSScript finds its Python through the active environment; a program that is called by its path activates none.
        folder = str(Path(sys.executable).parent)
        environ = dict(os.environ, PATH=os.pathsep.join((folder, os.environ.get("PATH", ""))), VIRTUAL_ENV=sys.prefix)
        with open(log, "wb") as file:
            # A session of its own: vspipe is a launcher, and close() must end what it launched.
            self.process = subprocess.Popen(
                [program, "-c", "y4m", str(script), "-"],
                stdin=subprocess.DEVNULL,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,
            )

    def frames(self) -> Iterator[av.VideoFrame]:
        """Decoded frames in order; PipeError if vspipe ends with an error."""
        try:
            with av.open(self.process.stdout, format="yuv4mpegpipe") as stream:
                yield from stream.decode(video=0)
        except (av.error.FFmpegError, OSError) as error:
            self.check()
            raise PipeError(f"what vspipe wrote cannot be read ({error}){self.tail()}") from error
        self.check()

    def check(self) -> None:
        """Wait for the end; PipeError with the last lines of stderr if it was a bad one."""
        if self.process.wait():
            raise PipeError(f"vspipe failed (exit status {self.process.returncode}){self.tail()}")

    def tail(self, count: int = 8) -> str:
        """The last lines of what vspipe said, or nothing."""
        lines = self.log.read_text(errors="replace").replace("\r", "\n").strip().splitlines()[-count:]
        return ":\n  " + "\n  ".join(lines) if lines else f"; it said nothing (log: {self.log})"

    def close(self) -> None:
        """End vspipe if it still runs."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
                self.process.wait()
        self.process.stdout.close()

    def _signal(self, number: int) -> None:
        if os.name == "posix":
            os.killpg(self.process.pid, number)
        else:
            self.process.terminate()

    def __enter__(self) -> VSPipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
