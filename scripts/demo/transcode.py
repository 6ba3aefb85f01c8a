"""Frames from ``vspipe`` into a video file, with the sound of the source."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from vsapisr.errors import VsapisrError
from vsapisr.writing import finished

__all__ = ["PipeError", "SourceError", "SourceInfo", "VSPipe", "excerpt", "inspect", "transcode"]

X264_FORMATS = {"yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray", "gray10le"}


class SourceError(VsapisrError, ValueError):
    """The video to upscale cannot be used."""


class PipeError(VsapisrError, RuntimeError):
    """vspipe is missing or failed."""


@dataclass(frozen=True)
class SourceInfo:
    """What the demo needs to know of a video file."""

    width: int
    height: int
    fps: Fraction
    frames: int
    """As the container says or its length suggests; 0 if neither is known."""
    audio: bool
    matrix: int
    """H.273 number, never "unspecified": what is missing is filled in as VapourSynth does it."""


def inspect(path: Path) -> SourceInfo:
    """Open a video; SourceError if it is missing, not a video, or cannot be decoded."""
    if not path.exists():
        raise SourceError(f"there is no file {path}")
    if path.is_dir():
        raise SourceError(f"{path} is a folder; a video file is needed")
    try:
        with av.open(str(path)) as file:
            if not file.streams.video:
                raise SourceError(f"{path} has no video in it")
            stream = file.streams.video[0]
            frame = next(file.decode(stream), None)
            if frame is None:
                raise SourceError(f"{path}: no frame of the video could be decoded")
            fps = Fraction(stream.average_rate or stream.base_rate or 24)
            seconds = float(stream.duration * stream.time_base) if stream.duration else (file.duration or 0) / 1e6
            matrix = int(frame.colorspace)
            if matrix in (2, 3):
                matrix = 6 if frame.width <= 1024 and frame.height <= 576 else 1
            frames = stream.frames or _count(path) or round(seconds * fps)
            return SourceInfo(frame.width, frame.height, fps, frames, bool(file.streams.audio), matrix)
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(f"{path} is not a video that can be read ({error.strerror or error})") from error


def _count(path: Path) -> int:
    """Frames by counting packets; 0 for a large file, where that would take long."""
    if path.stat().st_size > 256 << 20:
        return 0
    with av.open(str(path)) as file:
        return sum(1 for packet in file.demux(file.streams.video[0]) if packet.size)


def excerpt(path: Path, target: Path, start: float, seconds: float) -> None:
    """Copy, without coding anew, ``seconds`` from the I-frame at or before ``start``, and some more, into a .mkv.

    BestSource decodes a file from end to end before it gives the first frame; for an episode that takes minutes.
    """
    with finished(target) as part, av.open(str(path)) as file, av.open(str(part), "w") as out:
        picture = file.streams.video[0]
        if start > 0:
            file.seek(round(start / picture.time_base) + (picture.start_time or 0), stream=picture)
        streams = {s.index: out.add_stream_from_template(s) for s in (picture, *file.streams.audio[:1])}
        begin = None
        for packet in file.demux(*(file.streams[i] for i in streams)):
            stamp = packet.pts if packet.dts is None else packet.dts  # after seeking, the I-frame may come without dts
            if not packet.size or stamp is None:
                continue
            if begin is None and packet.stream is picture:
                begin = stamp * packet.time_base
            if begin is not None and stamp * packet.time_base > begin + seconds + 2:
                break
            packet.stream = streams[packet.stream.index]
            out.mux(packet)


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


def transcode(
    frames: Iterator[av.VideoFrame],
    source: Path,
    info: SourceInfo,
    target: Path,
    *,
    crf: int,
    more: Callable[[int, av.VideoFrame], bool],
) -> int:
    """Encode ``frames`` with x264 into ``target`` (.mkv) beside the source's sound; returns the number of frames.

    ``more(count, frame)`` is called after every frame and says whether to go on. The sound is taken over as it is, cut
    to the length of the picture. The file appears under its name only when it is complete.
    """
    first = next(frames, None)
    if first is None:
        raise PipeError("vspipe ended without a frame")
    with finished(target) as part, av.open(str(part), "w") as out, av.open(str(source)) as file:
        video = out.add_stream("libx264", rate=info.fps, options={"crf": str(crf), "preset": "medium"})
        pix_fmt = first.format.name if first.format.name in X264_FORMATS else "yuv444p10le"
        video.width, video.height, video.pix_fmt = first.width, first.height, pix_fmt
        context = video.codec_context
        context.time_base = 1 / info.fps
        # y4m does not carry the matrix, and players guess BT.709 at this size: say what it is.
        context.colorspace, context.color_range = info.matrix, ColorRange.MPEG
        sound = _copied_sound(file, out) if info.audio else None
        count = 0
        for frame in _with(first, frames):
            picture = frame if frame.format.name == pix_fmt else frame.reformat(format=pix_fmt)
            picture.pts, picture.time_base = count, 1 / info.fps
            picture.pict_type = PictureType.NONE  # y4m frames come as I, and the encoder would obey
            out.mux(video.encode(picture))
            count += 1
            if sound:
                sound(count / info.fps)
            if not more(count, frame):
                break
        out.mux(video.encode(None))
    return count


def _with(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest


def _copied_sound(file: av.container.InputContainer, out: av.container.OutputContainer) -> Callable[[Fraction], None]:
    """A function that copies the sound up to a time; the picture's first frame is time 0."""
    source, picture = file.streams.audio[0], file.streams.video[0]
    target = out.add_stream_from_template(source)
    begin = Fraction(picture.start_time or 0) * picture.time_base
    packets = file.demux(source)
    waiting: list[av.Packet] = []

    def up_to(seconds: Fraction) -> None:
        while True:
            packet = waiting.pop() if waiting else next(packets, None)
            if packet is None or packet.pts is None:
                return
            if packet.pts * packet.time_base - begin >= seconds:
                waiting.append(packet)
                return
            shift = round(begin / packet.time_base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            if packet.pts + (packet.duration or 0) > 0:
                packet.stream = target
                out.mux(packet)

    return up_to
