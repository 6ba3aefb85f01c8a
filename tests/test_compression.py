"""Codecs in memory: what comes back is one intra picture, worse with worse quality, at the quantiser that was asked
for.
"""

from __future__ import annotations

import os
import subprocess
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.frame import PictureType

from train.degradation import compression as codecs
from vsapisr.libav import same_priority, threads

VIDEO = {
    "mpeg2": ("mpeg2video", "mpeg2video", lambda q: codecs.mpeg_options(q), (2, 8, 20, 31)),
    "mpeg4": ("mpeg4", "mpeg4", lambda q: codecs.mpeg_options(q), (2, 8, 20, 31)),
    "h264": ("libx264", "h264", lambda q: codecs.h264_options(q, "faster"), (18, 23, 30, 38)),
    "h265": ("libx265", "hevc", lambda q: codecs.h265_options(q, "faster"), (18, 28, 35, 42)),
    "avif": ("libsvtav1", "libdav1d", lambda q: codecs.avif_options(q, 9), (95, 70, 45, 20)),
}
EFFORT = {"webp": 2, "avif": 9, "h264": "faster", "h265": "faster"}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(96, 128, 3) uint8 with shapes, a gradient and some grain."""
    rng = np.random.default_rng(4)
    image = np.tile(np.linspace(40, 220, 128, dtype=np.float32)[None, :, None], (96, 1, 3))
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    cv2.circle(image, (60, 48), 30, (230, 60, 40), -1)
    cv2.line(image, (5, 90), (120, 8), (10, 10, 10), 2)
    return image


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.mark.parametrize("name", VIDEO)
def test_a_video_codec_gives_one_packet_with_one_intra_key_picture(picture, name):
    encoder, decoder, options, values = VIDEO[name]
    packets = codecs.encode(picture, encoder, options(values[1]), full_range=name == "avif")
    assert len([p for p in packets if p.size]) == 1
    frame = codecs.decode(packets, decoder)
    assert frame.pict_type == PictureType.I and frame.key_frame
    assert (frame.width, frame.height, frame.format.name.removeprefix("yuvj")) in {
        (128, 96, "yuv420p"),
        (128, 96, "420p"),
    }


def test_intra_check_refuses_other_pictures(picture):
    """Two pictures in one stream, the second predicted from the first."""
    coder = av.CodecContext.create("mpeg4", "w")
    coder.width, coder.height, coder.pix_fmt, coder.gop_size = 128, 96, "yuv420p", 10
    coder.time_base, coder.framerate = Fraction(1, 24), Fraction(24)
    packets = []
    for number in range(2):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        packets += coder.encode(frame)
    packets += coder.encode(None)
    with pytest.raises(codecs.CodecError, match="one intra picture.*'P'"):
        codecs.decode(packets, "mpeg4")


def mpeg2_quantisers(stream: bytes) -> set[int]:
    """quantiser_scale_code of every slice header: the five bits after a start code 00 00 01 01..AF."""
    found, place = set(), 0
    while (place := stream.find(b"\0\0\1", place)) >= 0:
        if 1 <= stream[place + 3] <= 0xAF:
            found.add(stream[place + 4] >> 3)
        place += 3
    return found


@pytest.mark.parametrize("qscale", [2, 8, 17, 31])
def test_mpeg2_uses_the_quantiser_it_is_given(picture, qscale):
    packets = codecs.encode(picture, "mpeg2video", codecs.mpeg_options(qscale))
    assert mpeg2_quantisers(b"".join(map(bytes, packets))) == {qscale}


@pytest.mark.parametrize("qscale", [2, 8, 17, 31])
def test_mpeg4_uses_the_quantiser_it_is_given(picture, qscale):
    """vop_quant: after the start code of the picture (00 00 01 B6), its type, time, flags and dc threshold."""
    stream = b"".join(map(bytes, codecs.encode(picture, "mpeg4", codecs.mpeg_options(qscale))))
    place = stream.find(b"\0\0\1\xb6")
    bits = "".join(f"{byte:08b}" for byte in stream[place + 4 : place + 16])
    assert bits[:2] == "00"  # an I-VOP
    rest = bits[2:].lstrip("1")[1:]  # modulo_time_base: ones, then a zero
    # marker, vop_time_increment (5 bits for 24 per second), marker, coded = 1, intra_dc_vlc_thr (3), quantiser (5)
    assert rest[0] == "1" and rest[6] == "1" and rest[7] == "1"
    assert int(rest[11:16], 2) == qscale


@pytest.mark.parametrize("name", codecs.CODECS)
def test_quality_orders_the_results_and_colours_survive(picture, name):
    values = VIDEO[name][3] if name in VIDEO else (95, 70, 45, 20)
    results = [codecs.compress(picture, name, value, EFFORT.get(name, 0)) for value in values]
    for result in results:
        assert result.shape == picture.shape and result.dtype == np.uint8
    scores = [psnr(result, picture) for result in results]
    assert scores == sorted(scores, reverse=True) and scores[0] > scores[-1] + 2, scores
    assert scores[0] > 27
    for result in results:  # a wrong matrix or range moves the mean of a channel by several levels
        assert np.abs(result.mean((0, 1)) - picture.mean((0, 1))).max() < 2.5


@pytest.mark.parametrize("name", codecs.CODECS)
def test_same_input_same_bytes_and_input_untouched(picture, name):
    before, value = picture.copy(), VIDEO[name][3][1] if name in VIDEO else 60
    first = codecs.compress(picture, name, value, EFFORT.get(name, 0))
    assert np.array_equal(first, codecs.compress(picture, name, value, EFFORT.get(name, 0)))
    assert np.array_equal(picture, before)
    strided = np.repeat(picture, 2, axis=1)[:, ::2]
    assert np.array_equal(first, codecs.compress(strided, name, value, EFFORT.get(name, 0)))


@pytest.mark.parametrize("size", [(2, 2), (16, 2), (34, 18)])
@pytest.mark.parametrize("name", codecs.CODECS)
def test_tiny_pictures(name, size):
    """Anything a quarter of a picture of 8x8 or more can be."""
    image = np.full((*size, 3), 128, np.uint8)
    value = VIDEO[name][3][1] if name in VIDEO else 60
    result = codecs.compress(image, name, value, EFFORT.get(name, 0))
    assert result.shape == image.shape and np.abs(result.astype(int) - 128).max() <= 6


def test_odd_sides_are_refused_for_video():
    with pytest.raises(codecs.CodecError, match="41x40.*even"):
        codecs.h264(np.zeros((40, 41, 3), np.uint8), 30)


def test_unknown_codec_is_named():
    with pytest.raises(codecs.CodecError, match="divx.*jpeg, webp"):
        codecs.compress(np.zeros((8, 8, 3), np.uint8), "divx", 3, 0)


def test_nothing_is_started_and_nothing_written(picture, monkeypatch, tmp_path):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a codec started a process")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)
    monkeypatch.chdir(tmp_path)
    for name in codecs.CODECS:
        codecs.compress(picture, name, VIDEO[name][3][1] if name in VIDEO else 60, EFFORT.get(name, 0))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no signals on Windows")
def test_an_encoder_makes_no_thread_a_real_time_one(picture):
    """As SVT-AV1 does with the one that opens it, where the system lets it: as root."""
    before = os.sched_getscheduler(0)
    assert psnr(codecs.avif(picture, 80), picture) > 25
    assert {os.sched_getscheduler(thread) for thread in threads()} == {before}

    found = threads()
    with same_priority():
        coder = av.CodecContext.create("libsvtav1", "w")
        coder.width = coder.height = 64
        coder.pix_fmt, coder.time_base = "yuv420p", Fraction(1, 24)
        coder.open()
        more = threads() - found
    assert more and {os.sched_getscheduler(thread) for thread in threads()} == {before}
