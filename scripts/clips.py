"""Encode frames to a video with sound; ``python -m scripts.clips`` writes a clip of procedural cel animation."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from train.media.progress import Progress
from vsapisr.errors import ArgumentError, VsapisrError
from vsapisr.libav import url
from vsapisr.writing import finished

from .cel import MIXED, SHOTS, Painter, length

__all__ = ["EXACT", "FILM", "encode", "soundtrack"]

FILM = Fraction(24000, 1001)
CONTAINERS = (".mkv", ".mp4", ".mov", ".ts")
RATE = 48000
BLOCK = 1024  # samples of one AAC frame
# Without these swscale is off by more than one step of 255 on the average.
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
# matrix name -> (swscale's number, the tags for matrix, primaries and transfer as H.273 counts them)
MATRICES = {
    "bt709": (Colorspace.ITU709, (1, 1, 1)),
    "bt601": (Colorspace.ITU601, (6, 6, 6)),
    None: (Colorspace.ITU601, (2, 2, 2)),
}


def soundtrack(first: int, count: int, seed: int = 0) -> np.ndarray:
    """Samples ``first`` to ``first + count`` of a made-up sound: chords and speech-like blips, (2, count) float32."""
    t = (first + np.arange(count)) / RATE
    chords = np.array([[261.6, 329.6, 392.0], [220.0, 261.6, 329.6], [174.6, 220.0, 261.6], [196.0, 246.9, 293.7]])
    tones = chords[(t // 2).astype(int) % 4]
    fade = 0.5 - 0.5 * np.cos(np.pi * np.minimum(np.minimum(t % 2, 2 - t % 2) * 4, 1.0))
    left = (np.sin(2 * np.pi * tones * t[:, None]).sum(axis=1)) * 0.045 * fade
    # A syllable lasts six frames of film; its pitch and whether it is spoken at all come from its number.
    syllable = (t * 4).astype(int)
    pick = (syllable * 2654435761 + seed * 40503) >> 7
    pitch, spoken = 190 + 12 * (pick % 9), (pick % 5 != 0)
    swell = np.sin(np.pi * (t * 4 % 1)) ** 2 * spoken
    voice = (
        sum(np.sin(2 * np.pi * pitch * k * t) * w for k, w in ((1, 0.5), (2, 0.8), (3, 0.45), (5, 0.3), (9, 0.12)))
        * swell
        * 0.07
    )
    return np.stack([left + voice, 0.8 * left + voice]).astype(np.float32)


def encode(
    path: str | Path,
    frames: Iterable[np.ndarray],
    *,
    fps: Fraction = FILM,
    crf: int = 23,
    preset: str = "medium",
    keyint: int | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    matrix: str | None = None,
    audio: bool = True,
    options: dict[str, str] | None = None,
) -> int:
    """Write (H, W, 3) uint8 RGB frames, all of one size, to a video file and return their number.

    The container follows the suffix (see CONTAINERS); the folder must exist. ``matrix`` is "bt709", "bt601", or None
    for BT.601 without saying so in the file, as many real files of this size have it. ``audio`` adds a synthetic AAC
    track of the same length. ``options`` go to the encoder as they are. The file appears when it is complete.
    Raises ArgumentError for no frames, unequal sizes, an unknown matrix, encoder or suffix; OSError if the file
    cannot be written.
    """
    path = Path(path)
    if matrix not in MATRICES:
        raise ArgumentError(f"matrix is {matrix!r}; accepted are 'bt709', 'bt601' and None")
    if path.suffix not in CONTAINERS:
        raise ArgumentError(f"{path.name} ends in {path.suffix!r}; accepted are {', '.join(CONTAINERS)}")
    if not path.parent.is_dir():
        raise ArgumentError(f"the folder {path.parent} does not exist")
    if codec not in av.codecs_available:
        raise ArgumentError(f"this PyAV has no encoder named {codec!r}")
    settings = {"crf": str(crf), "preset": preset} if codec in ("libx264", "libx265") else {}
    settings.update(options or {})
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise ArgumentError(f"no frames for {path.name}; at least one is needed")
    with finished(path) as part, av.open(url(part), "w") as out:
        video = out.add_stream(codec, rate=fps, options=settings)
        video.width, video.height, video.pix_fmt = first.shape[1], first.shape[0], pix_fmt
        video.codec_context.time_base = 1 / fps
        if keyint is not None:
            video.codec_context.gop_size = keyint
        space, tags = MATRICES[matrix]
        context = video.codec_context
        context.colorspace, context.color_primaries, context.color_trc = tags
        context.color_range = ColorRange.MPEG
        sound = _Sound(out) if audio else None
        count = 0
        for picture in _chain(first, source):
            out.mux(video.encode(_frame(picture, first.shape, count, pix_fmt, space, tags, fps)))
            count += 1
            if sound:
                sound.up_to(count / fps)
        out.mux(video.encode(None))
        if sound:
            sound.close(count / fps)
    return count


def _chain(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _frame(
    picture: np.ndarray,
    shape: tuple[int, ...],
    index: int,
    pix_fmt: str,
    space: Colorspace,
    tags: tuple[int, int, int],
    fps: Fraction,
) -> av.VideoFrame:
    if picture.shape != shape or picture.dtype != np.uint8:
        raise ArgumentError(f"frame {index} is {picture.dtype} {picture.shape}; the first one was uint8 {shape}")
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = rgb.reformat(format=pix_fmt, dst_colorspace=space, dst_color_range=ColorRange.MPEG, interpolation=EXACT)
    frame.colorspace, frame.color_primaries, frame.color_trc = tags
    frame.pts, frame.time_base = index, 1 / fps
    return frame


class _Sound:
    """The audio track of a file being written; goes along with the video so that the muxer holds little back."""

    def __init__(self, out: av.container.OutputContainer) -> None:
        self.out, self.done = out, 0
        self.stream = out.add_stream("aac", rate=RATE, options={"b": "96k"})
        self.stream.codec_context.layout = "stereo"

    def up_to(self, seconds: Fraction, last: bool = False) -> None:
        """Write whole blocks as far as they are needed by ``seconds``; the last one may be short."""
        while (left := int(seconds * RATE) - self.done) >= (1 if last else BLOCK):
            count = min(left, BLOCK)
            frame = av.AudioFrame.from_ndarray(soundtrack(self.done, count), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self.done, Fraction(1, RATE)
            self.done += count
            self.out.mux(self.stream.encode(frame))

    def close(self, seconds: Fraction) -> None:
        """Write the rest."""
        self.up_to(seconds, last=True)
        self.out.mux(self.stream.encode(None))


def _watched(frames: Iterator[np.ndarray], total: int) -> Iterator[np.ndarray]:
    progress = Progress("drawing and encoding", total or 0, "frames")
    for n, picture in enumerate(frames):
        yield picture
        progress.to(n + 1)
    progress.close()


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    names = ", ".join((*SHOTS, "mixed"))
    parser = argparse.ArgumentParser(
        prog="python -m scripts.clips", description="Write a clip of procedural cel animation."
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="a .mkv or .mp4 file")
    parser.add_argument("--height", type=int, default=360, help="picture height, a multiple of 18 (default 360)")
    parser.add_argument(
        "--shot", default="mixed", choices=(*SHOTS, "mixed"), help=f"{names} (mixed: {', '.join(MIXED)})"
    )
    parser.add_argument("--seconds", type=float, help="length (default: the shot's own)")
    parser.add_argument("--crf", type=int, default=23)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--keyint", type=int, help="longest distance between I-frames")
    parser.add_argument("--matrix", choices=("bt709", "bt601"), help="default: BT.601, not stated in the file")
    parser.add_argument("--pix-fmt", default="yuv420p")
    parser.add_argument("--seed", type=int, default=0, help="of the painted backgrounds")
    parser.add_argument("--silent", action="store_true", help="no audio track")
    args = parser.parse_args(argv)
    count = length(args.shot) if args.seconds is None else max(1, round(args.seconds * FILM))
    try:
        frames = _watched(Painter(args.height, args.seed).frames(args.shot, count), count)
        encode(
            args.out,
            frames,
            crf=args.crf,
            preset=args.preset,
            keyint=args.keyint,
            matrix=args.matrix,
            pix_fmt=args.pix_fmt,
            audio=not args.silent,
        )
    except (VsapisrError, ValueError, OSError) as error:
        print(f"clips: {error}", file=sys.stderr)
        return 1
    print(
        f"{args.out}: {count} frames, {args.height * 16 // 9}x{args.height}, {os.path.getsize(args.out) / 1e6:.2f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
