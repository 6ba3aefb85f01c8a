"""The I-frames of a video and nothing else: the least compressed pictures it has, decoded without the rest.

H.264, HEVC and AV1 decoders drop everything that is not intra themselves (``skip_frame``); others get only the packets
marked as keyframes. The picture type is checked on every frame that comes out, where its decoder tells it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import PictureType
from av.video.stream import VideoStream

from vsapisr.errors import ClipError
from vsapisr.libav import url

from ..media.video import picture, upright_size

SUFFIXES = {
    ".mkv",
    ".mp4",
    ".m4v",
    ".mov",
    ".webm",
    ".avi",
    ".ts",
    ".m2ts",
    ".mpg",
    ".mpeg",
    ".vob",
    ".wmv",
    ".flv",
    ".ogv",
    ".264",
    ".h264",
    ".265",
    ".hevc",
    ".ivf",
    ".obu",
    ".y4m",
}
DROPS_INTER = {"h264", "hevc", "libdav1d", "av1"}  # decoders whose NONINTRA leaves I pictures alone
HDR_TRANSFERS = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
WIDE_TRANSFERS = {14: "BT.2020 10-bit transfer", 15: "BT.2020 12-bit transfer"}
PROGRESSIVE = {0, 1}  # of AVFieldOrder: unknown, progressive


class Unsuitable(ClipError):
    """A video, as a whole, is no source of training pictures; the text is the reason."""


@dataclass(frozen=True, kw_only=True)
class Keyframe:
    """One I-frame."""

    packet: int
    """Position of its packet in coded order, from 0: its name within the video."""
    pts: int | None
    time: float
    """Seconds; counted from the average rate where the container has no timestamps."""
    bytes: int
    """Size of the packet."""
    fault: str | None
    """Why the picture must not be used ("damaged", "interlaced"), None when it may."""
    image: np.ndarray
    """(H, W, 3) uint8 RGB as shown."""


@dataclass(kw_only=True)
class Video:
    """What is known of a video: the first block at once, the second after its packets were read."""

    path: Path
    codec: str
    width: int
    """As shown: square pixels, upright."""
    height: int
    duration: float
    """Seconds by the container; 0 when it does not say."""
    rate: float
    aspect: Fraction | None
    time_base: Fraction | None

    packets: int = 0
    errors: list[str] = field(default_factory=list)
    """Damage met on the way."""
    end: float = 0.0
    """Seconds at which the last packet ends."""


def list_videos(folder: str | Path) -> list[Path]:
    """Videos below ``folder`` in name order, or that one file.

    Raises:
        ClipError: no such folder, or no video in it.
    """
    folder = Path(folder)
    if not folder.exists():
        raise ClipError(f"{str(folder)!r} does not exist")
    if folder.is_file():
        return [folder]
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and may_be_file(p))
    if not found:
        raise ClipError(f"no videos below {str(folder)!r}; looked for {' '.join(sorted(SUFFIXES))}")
    return found


def may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # whoever reads it says what is wrong


@contextmanager
def opened(path: Path, threads: int = 0) -> Iterator[tuple[InputContainer, Video]]:
    """The container, its decoder set to I-frames, and what it says of itself.

    Raises:
        Unsuitable: not a readable video, interlaced, HDR or wide gamut, or rotated by an odd angle.
    """
    # A damaged picture makes a decoder thread log, PyAV's handler then waits for the GIL, and closing the decoder waits
    # for the thread with the GIL held: no handler, no deadlock.
    av.logging.set_level(None)
    try:
        container = av.open(url(path))
    except (av.FFmpegError, OSError, UnicodeError) as error:
        raise Unsuitable(f"broken: cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    with container:
        video = describe(container, path)
        coder = video_stream(container).codec_context
        coder.skip_frame = "NONINTRA" if coder.name in DROPS_INTER else "NONKEY"
        coder.thread_type, coder.thread_count = "AUTO", threads
        yield container, video


def video_stream(container: InputContainer) -> VideoStream:
    """The first video stream that is not a cover picture.

    Raises:
        Unsuitable: there is none.
    """
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise Unsuitable("no video stream")


def describe(container: InputContainer, path: Path) -> Video:
    """What the headers say; see :func:`opened` for what is refused."""
    stream = video_stream(container)
    coder = stream.codec_context
    if coder is None or not coder.width:
        raise Unsuitable("broken: the video stream has no size or an unknown codec")
    if int(coder.field_order or 0) not in PROGRESSIVE:
        raise Unsuitable("interlaced (by its header)")
    refuse_hdr(int(coder.color_trc or 0), int(coder.color_primaries or 0), int(coder.colorspace or 0))
    if any("dovi" in str(name) for name in coder.coded_side_data):
        raise Unsuitable("HDR: Dolby Vision")
    aspect = stream.sample_aspect_ratio or coder.sample_aspect_ratio or None
    rate = float(stream.average_rate or stream.guessed_rate or 24)
    width, height = coder.width, coder.height
    duration = container.duration / av.time_base if container.duration and container.duration > 0 else 0.0
    return Video(
        path=path,
        codec=coder.codec.canonical_name,
        width=width,
        height=height,
        duration=duration,
        rate=rate,
        aspect=cast(Fraction | None, aspect),  # PyAV gives Fractions, whatever its stubs call them
        time_base=cast(Fraction | None, stream.time_base),
    )


def refuse_hdr(transfer: int, primaries: int, matrix: int) -> None:
    """Raises ``Unsuitable`` for what would look washed out as SDR (numbers of ITU-T H.273)."""
    if transfer in HDR_TRANSFERS:
        raise Unsuitable(f"HDR: {HDR_TRANSFERS[transfer]}")
    if transfer in WIDE_TRANSFERS or primaries == 9 or matrix in (9, 10):
        raise Unsuitable(f"wide gamut: {WIDE_TRANSFERS.get(transfer, 'BT.2020 primaries')}")


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet."""

    number: int
    """In coded order, from where reading began."""
    bytes: int
    pts: int | None
    """Its timestamp; the decoding timestamp where a container has no other."""
    key: bool
    """Marked as a keyframe."""


def type_of(frame: av.VideoFrame, key: bool) -> str:
    """ "I", "P", "B" or another of FFmpeg's letters.

    Decoders without motion compensation (QuickTime Animation, CineForm, Cinepak, Flash Screen Video) do not name the
    type: what came in a packet marked as a ``key`` depends on nothing else, the others on the picture before.
    """
    kind = PictureType(frame.pict_type)
    return kind.name if kind != PictureType.NONE else "I" if key else "P"


def frames(container: InputContainer, video: Video) -> Iterator[tuple[Coded, av.VideoFrame]]:
    """Each intra picture from where the container stands, with the packet it came in; damage goes to ``video.errors``.

    Packets go to the decoder with their number for a timestamp, which the frame brings back: that works for containers
    without timestamps too. (PyAV's ``copy_opaque`` would do it, but decoder threads then need the GIL to free a packet,
    and closing the decoder waits for them with the GIL held.)
    """
    stream = video_stream(container)
    coder = stream.codec_context
    only_keys = coder.name not in DROPS_INTER
    packets = container.demux(stream)
    coded: list[Coded] = []
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, EOFError) as error:  # the file cannot be read on: flush what the decoder holds
            video.errors.append(f"reading stopped after {video.end:.1f} s: {error}")
            packet = None
        if packet is not None and not packet.size:
            packet = None  # the empty packet at the end means flush
        if packet is not None:
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None and packet.time_base:
                video.end = max(video.end, float((stamp + (packet.duration or 0)) * packet.time_base))
            packet.pts = packet.dts = len(coded)
            coded.append(Coded(len(coded), packet.size, stamp, packet.is_keyframe))
            video.packets = len(coded)
            if only_keys and not packet.is_keyframe:
                continue
        try:
            for frame in coder.decode(packet):
                if frame.pts is not None and type_of(frame, coded[frame.pts].key) == "I":
                    yield coded[frame.pts], frame
        except (av.FFmpegError, EOFError) as error:
            if packet is not None:
                video.errors.append(f"packet {len(coded) - 1}: {error}")
        if packet is None:
            return


def keyframes(container: InputContainer, video: Video, minimum_height: int = 0) -> Iterator[Keyframe]:
    """The I-frames as the decoder gives them, open GOPs not always in the order of time; reads on as they are taken.

    Raises:
        Unsuitable: the first picture says what the header did not, or is less than ``minimum_height`` lines high as
            shown; or there was no I-frame at all.
    """
    empty = True
    for coded, frame in frames(container, video):
        if empty:
            inspect_first(frame, video, minimum_height)
            empty = False
        yield keyframe(frame, coded, video)
    if empty:
        raise Unsuitable("broken: no I-frame could be decoded" + (f" ({video.errors[0]})" if video.errors else ""))


def inspect_first(frame: av.VideoFrame, video: Video, minimum_height: int) -> None:
    """Fill in the size as shown; refuse what only the pictures tell."""
    refuse_hdr(int(frame.color_trc or 0), int(frame.color_primaries or 0), int(frame.colorspace or 0))
    if frame.interlaced_frame:
        raise Unsuitable("interlaced (by its first picture)")
    try:
        video.width, video.height = upright_size(frame.width, frame.height, video.aspect, frame.rotation)
    except ClipError as error:
        raise Unsuitable(str(error)) from None
    if video.height < minimum_height:
        raise Unsuitable(f"too small: {video.width}x{video.height} as shown, {minimum_height} lines are needed")


def keyframe(frame: av.VideoFrame, coded: Coded, video: Video) -> Keyframe:
    """``frame`` with its record; the picture of a faulty one is made all the same, a person may want to look at it."""
    fault = "damaged" if frame.is_corrupt else "interlaced" if frame.interlaced_frame else None
    if coded.pts is not None and video.time_base:
        time = float(coded.pts * video.time_base)
    else:
        time = coded.number / video.rate
    return Keyframe(
        packet=coded.number,
        pts=coded.pts,
        time=time,
        bytes=coded.bytes,
        fault=fault,
        image=picture(frame, video.aspect),
    )


def gop_lengths(packets: list[int], total: int) -> list[int]:
    """Pictures from each I-frame to the next in coded order, for I-frame ``packets`` of ``total``; order kept."""
    edges = sorted(packets) + [total]
    following = dict(itertools.pairwise(edges))
    return [following[number] - number for number in packets]


def fetch(path: Path, wanted: dict[int, int | None], threads: int = 0) -> dict[int, np.ndarray]:
    """Pictures of some I-frames, without decoding the others: ``wanted`` maps packet numbers to pts.

    Where the container can seek, each is sought by its pts; what that does not find is read from the start by number.
    A number that is not there is not in the result.
    """
    found: dict[int, np.ndarray] = {}
    with opened(path, threads) as (container, video):
        stream = video_stream(container)
        for number, pts in sorted(wanted.items()):
            if pts is None:
                continue
            try:
                container.seek(pts, stream=stream)
            except av.FFmpegError:
                continue
            for coded, frame in frames(container, video):
                if coded.pts == pts:
                    found[number] = picture(frame, video.aspect)
                if coded.pts is None or coded.pts >= pts:
                    break
    left = wanted.keys() - found.keys()
    if left:
        with opened(path, threads) as (container, video):
            for coded, frame in frames(container, video):
                if coded.number in left:
                    found[coded.number] = picture(frame, video.aspect)
                if len(found) == len(wanted):
                    break
    return found
