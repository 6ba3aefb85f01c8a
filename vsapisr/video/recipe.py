"""The way of a video through programs of other people: ``vspipe``, ``ffmpeg``, ``mkvmerge``, as commands to copy."""

from __future__ import annotations

import shlex
import tempfile
from fractions import Fraction
from pathlib import Path

from .clip import arguments, from_source, properties
from .identity import versions
from .pixels import Tags, choose, format_of, tags_of
from .places import Folder
from .probe import probe
from .settings import VideoSettings

__all__ = ["recipe"]

NAMES = {  # of ITU-T H.273, as ffmpeg calls them; other numbers it takes as they are
    "matrix": {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc"},
    "primaries": {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020"},
    "transfer": {1: "bt709", 6: "smpte170m", 16: "smpte2084", 18: "arib-std-b67"},
}
CHROMA = {1: "left", 2: "center", 3: "topleft", 4: "top", 5: "bottomleft", 6: "bottom"}


def recipe(source: Path, settings: VideoSettings) -> str:
    """Lines for a shell that make ``NAME_4x.mkv`` of ``source``. y4m carries pixels and nothing else: colour tags and
    the shape of pixels are told to ffmpeg, and mkvmerge gives every frame its time and takes all else from the source.

    Raises:
        VideoError: it cannot be read.
        ArgumentError: the encoder does not exist.
    """
    found = probe(source)
    versions(settings.upscale.model)  # says if there is no such model
    with tempfile.TemporaryDirectory() as folder:
        clip = from_source(source, found.track, Folder(Path(folder)).index)[0]
        pixel_format = choose(settings.encoder, settings.pixel_format, clip.format)
        tags = tags_of(clip)
        interlaced = properties(clip, 0).get("_FieldBased", 0)
    chosen = {**arguments(settings.upscale), "format": format_of(pixel_format)}
    words = ", ".join(f"{key}={value!r}" for key, value in chosen.items())
    stem = source.stem
    script, times, coded = f"{stem}.vpy", f"{stem}.times.txt", f"{stem}.picture.mkv"
    lines = ["# interlaced: deinterlace it in the script, before Upscale"] if interlaced else []
    if clip.format.color_family == 2:
        lines.append(
            f"# RGB becomes {pixel_format} of matrix {named('matrix', tags)} in the filter, which ffmpeg is told"
        )
    quality = ["-crf", f"{settings.crf:g}"] if settings.crf is not None else []
    encoder = ["-c:v", settings.encoder, *(["-preset", settings.preset] if settings.preset else []), *quality]
    filters = [
        "-vf",
        parameters(tags, Fraction(*found.sar)),
        "-chroma_sample_location",
        CHROMA.get(tags["chroma"], "left"),
    ]
    code = ["ffmpeg", "-f", "yuv4mpegpipe", "-i", "-", *filters, *encoder, f"file:{coded}" if ":" in coded else coded]
    pipe = ["vspipe", "-c", "y4m", script, "-"]
    join = ["mkvmerge", "-o", f"{stem}_4x.mkv", "--timestamps", f"0:{times}"]
    join += [coded, "--no-video", str(source)]
    zero = "0" if found.format.startswith(("matroska", "mov")) else 'found["timestamps"][0]'
    return "\n".join(
        [
            *lines,
            f"cat > {shlex.quote(script)} <<'END'",
            "import vapoursynth as vs",
            f"found = vs.core.bs.VideoSource({str(source)!r}, track={found.track}, exporttimestamps=1)",
            'unit = 1000 * found["timebasenum"] / found["timebaseden"]',
            f"times = [unit * (time - {zero}) for time in found['timestamps']]",
            f"with open({times!r}, 'w') as file:",
            "    print('# timestamp format v2', *times, sep='\\n', file=file)",
            f"found['clip'].apisr.Upscale({words}).set_output()",
            "END",
            f"{shlex.join(pipe)} | {shlex.join(code)}",
            shlex.join(join),
        ]
    )


def named(kind: str, tags: Tags) -> str:
    """A tag in ffmpeg's words."""
    return NAMES[kind].get(tags[kind], str(tags[kind]))


def parameters(tags: Tags, sar: Fraction) -> str:
    """Filters of ffmpeg that say what the pixels are and change none of them."""
    pairs = [f"range={'pc' if tags['range'] else 'tv'}", f"colorspace={named('matrix', tags)}"]
    pairs += [f"color_{short}={named(kind, tags)}" for kind, short in (("primaries", "primaries"), ("transfer", "trc"))]
    return f"setparams={':'.join(pairs)},setsar={sar.numerator}/{sar.denominator}"
