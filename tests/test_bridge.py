"""The plugin between VapourSynth and vsapisr.bridge.node: arguments, output, frames, errors."""

from __future__ import annotations

import logging
import os
import sys

import numpy as np
import pytest
import vapoursynth as vs

from .bridge import blank, failure

core = vs.core


# Arguments and the clip's description


def test_arguments_arrive_by_name_and_type(fake):
    seen = []
    fake.install(lambda clip, arguments: seen.append(arguments) or fake.Node(clip, arguments))
    core.apisr.Upscale(blank(), model="ä.pth", format=int(vs.RGB24), tilesize=[64, 32], overlap=-1, device="cpu")
    core.apisr.Upscale(blank(), tilesize=64, precision="fp32", batch=2)
    core.apisr.Upscale(blank())
    assert seen[0] == {"model": "ä.pth", "format": int(vs.RGB24), "tilesize": [64, 32], "overlap": -1, "device": "cpu"}
    assert seen[1] == {"tilesize": [64], "precision": "fp32", "batch": 2}
    assert seen[2] == {}


def test_name_that_is_no_utf8_survives_as_in_file_names(fake):
    seen = []
    fake.install(lambda clip, arguments: seen.append(arguments) or fake.Node(clip, arguments))
    core.apisr.Upscale(blank(), model=b"weights-\xff.pth")
    assert os.fsencode(seen[0]["model"]) == b"weights-\xff.pth"


def test_clip_is_described(fake):
    seen = []
    fake.install(lambda clip, arguments: seen.append(clip) or fake.Node(clip, arguments))
    core.apisr.Upscale(blank(width=32, height=24, length=7, format=vs.YUV420P10))
    assert seen == [
        {
            "width": 32,
            "height": 24,
            "num_frames": 7,
            "color_family": int(vs.YUV),
            "sample_type": int(vs.INTEGER),
            "bits_per_sample": 10,
            "subsampling_w": 1,
            "subsampling_h": 1,
            "threads": core.num_threads,
        }
    ]


def test_variable_clip_is_described_by_zeros(fake):
    def create(clip, arguments):
        from vsapisr.errors import ClipError

        raise ClipError(f"{clip['width']} {clip['height']} {[clip[name] for name in fake.FORMAT]}")

    fake.install(create)
    clips = [blank(), blank(width=32, format=vs.YUV420P8)]
    text = failure(lambda: core.apisr.Upscale(core.std.Splice(clips, mismatch=True)))
    assert text == "Upscale: 0 0 [0, 0, 0, 0, 0]"


# Output


@pytest.mark.parametrize("source", [vs.GRAY8, vs.RGB24, vs.YUV420P8, vs.YUV444P8])
def test_every_plane_is_carried_both_ways(fake, source):
    clip = core.std.BlankClip(width=50, height=10, format=source, length=1)
    clip = clip.std.ModifyFrame(clip, lambda n, f: _noise(f.copy()))
    frame, result = clip.get_frame(0), core.apisr.Upscale(clip).get_frame(0)
    assert (result.width, result.height, result.format) == (100, 20, frame.format)
    for plane in range(frame.format.num_planes):
        expected = np.asarray(frame[plane]).repeat(2, 0).repeat(2, 1)
        np.testing.assert_array_equal(np.asarray(result[plane]), expected)


def _noise(frame):
    random = np.random.default_rng(5)
    for plane in range(frame.format.num_planes):
        pixels = np.asarray(frame[plane])
        pixels[:] = random.integers(0, 256, pixels.shape)
    return frame


def test_source_planes_are_read_only(fake):
    class Node(fake.Node):
        def render(self, n, frames, target):
            frames[n][0][0][0][0] = 1

    fake.install(Node)
    text = failure(lambda: core.apisr.Upscale(blank()).get_frame(0))
    assert text == "Upscale: internal error: TypeError: cannot modify read-only memory"


@pytest.mark.parametrize("name", ["GRAY16", "GRAYH", "RGB30", "RGBS", "YUV410P8", "YUV422P16", "YUV444PS"])
def test_node_decides_on_format_and_size(fake, name):
    wanted = core.get_video_format(getattr(vs, name))

    class Node(fake.Node):
        def __init__(self, clip, arguments):
            self.width, self.height = 48, 4
            for attribute in fake.FORMAT:
                setattr(self, attribute, int(getattr(wanted, attribute)))

        def render(self, n, frames, target):
            for plane, (view, stride) in enumerate(target):
                assert len(view) == stride * (4 >> (wanted.subsampling_h if plane else 0))
            return {"planes": len(target)}

    fake.install(Node)
    clip = core.apisr.Upscale(blank())
    frame = clip.get_frame(0)
    assert (clip.format.name, frame.format.name, frame.width, frame.height) == (wanted.name, wanted.name, 48, 4)
    assert frame.props["planes"] == wanted.num_planes
    assert (clip.num_frames, clip.fps) == (4, blank().fps)


def test_properties_are_read_copied_changed_and_deleted(fake):
    seen = {}

    class Node(fake.Node):
        properties = ("_PictType", "number", "ratio", "absent")

        def render(self, n, frames, target):
            seen.update(frames[n][1])
            return {"number": 5, "ratio": 0.25, "blob": b"\0\1", "word": "ä", "gone": None, "never": None, "_Range": 1}

    fake.install(Node)
    clip = blank().std.SetFrameProps(_PictType="I", number=-7, ratio=0.5, gone=1, kept=[1, 2])
    properties = dict(core.apisr.Upscale(clip).get_frame(2).props)
    assert seen == {"_PictType": b"I", "number": -7, "ratio": 0.5}
    expected = dict(clip.get_frame(2).props) | {"number": 5, "ratio": 0.25, "blob": b"\0\1", "word": "ä", "_Range": 1}
    del expected["gone"]
    assert properties == expected


def test_needs_decides_which_frames_come(fake):
    class Node(fake.Node):
        properties = ("number",)

        def needs(self, n):
            return [m for m in (n - 2, n, n - 1) if m >= 0] if n != 5 else [0]

        def render(self, n, frames, target):
            self.double(frames[n][0], target)
            return {"seen": repr(sorted((m, properties["number"]) for m, (planes, properties) in frames.items()))}

    fake.install(Node)
    clip = core.std.FrameEval(blank(length=9), lambda n: blank(length=9).std.SetFrameProps(number=n * n, own=n))
    result = core.apisr.Upscale(clip)
    frames = {n: result.get_frame(n).props for n in (8, 0, 5, 3)}
    assert frames[8]["seen"] == "[(6, 36), (7, 49), (8, 64)]"
    assert frames[0]["seen"] == "[(0, 0)]"
    assert frames[5]["seen"] == "[(0, 0), (5, 25)]"
    assert [frames[n]["own"] for n in (8, 0, 5, 3)] == [8, 0, 5, 3]


# Errors


def test_errors_at_creation(fake):
    from vsapisr import errors

    def create_error(error):
        def create(clip, arguments):
            raise error

        fake.install(create)
        return failure(lambda: core.apisr.Upscale(blank()))

    assert create_error(errors.ArgumentError("overlap is -1, accepted are 0 and more")) == (
        "Upscale: overlap is -1, accepted are 0 and more"
    )
    assert create_error(KeyError("x")) == "Upscale: internal error: KeyError: 'x'"
    assert create_error(ValueError()) == "Upscale: internal error: ValueError"
    assert create_error(RuntimeError("one\nC++ stack: two")) == "Upscale: internal error: RuntimeError: one"
    assert create_error(SystemExit(3)) == "Upscale: internal error: SystemExit: 3"
    long = create_error(errors.WeightsError("x" + "ä" * 5000))
    assert long.startswith("Upscale: xä") and set(long[10:]) == {"ä"} and 700 < len(long) < 1600


def test_filter_module_that_cannot_be_imported(fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "vsapisr.bridge.node", None)
    assert failure(lambda: core.apisr.Upscale(blank())) == (
        "Upscale: cannot import vsapisr.bridge.node: ModuleNotFoundError: import of vsapisr.bridge.node halted; None "
        "in sys.modules"
    )


@pytest.mark.parametrize(
    "attribute, value, words",
    [
        ("width", 0, "RuntimeError: no such output: 0x16, format (1, 0, 8, 0, 0)"),
        ("height", 2**40, "RuntimeError: no such output: 32x-1, format (1, 0, 8, 0, 0)"),
        ("bits_per_sample", 40, "RuntimeError: no such output: 32x16, format (1, 0, 40, 0, 0)"),
        ("color_family", 0, "RuntimeError: no such output: 32x16, format (0, 0, 8, 0, 0)"),
        ("width", "wide", "TypeError: 'str' object cannot be interpreted as an integer"),
        ("properties", 3, "TypeError: object of type 'int' has no len()"),
    ],
)
def test_node_with_impossible_output_is_refused_and_closed(fake, attribute, value, words):
    class Node(fake.Node):
        def __init__(self, clip, arguments):
            super().__init__(clip, arguments)
            setattr(self, attribute, value)

    fake.install(Node)
    assert failure(lambda: core.apisr.Upscale(blank())) == f"Upscale: internal error: {words}"
    assert len(fake.CLOSED) == 1


def test_errors_in_frames_leave_the_filter_usable(fake):
    from vsapisr.errors import DeviceError

    class Node(fake.Node):
        def render(self, n, frames, target):
            held = array = np.frombuffer(target[0][0], np.uint8)  # noqa: F841 kept by the traceback
            return [
                lambda: {"fine": 1},
                lambda: 1 / 0,
                list,
                lambda: {"a b": 1},
                lambda: {"a": object()},
                lambda: {"a": 2**70},
                lambda: {3: 1},
                self.refuse,
            ][n]()

        def refuse(self):
            raise DeviceError("no memory left on cuda:0")

    fake.install(Node)
    clip = core.apisr.Upscale(blank(length=8))
    texts = [failure(lambda: clip.get_frame(n)) for n in range(1, 8)]
    assert texts == [
        "Upscale: internal error: ZeroDivisionError: division by zero",
        "Upscale: internal error: TypeError: render must return a dict",
        "Upscale: internal error: RuntimeError: the frame property 'a b' cannot be set",
        "Upscale: internal error: TypeError: expected bytes, object found",
        "Upscale: internal error: OverflowError: int too big to convert",
        "Upscale: internal error: TypeError: bad argument type for built-in operation",
        "Upscale: no memory left on cuda:0",
    ]
    assert clip.get_frame(0).props["fine"] == 1


def test_error_in_needs(fake):
    class Node(fake.Node):
        def needs(self, n):
            return [lambda: [n, 99], lambda: 1 / 0, lambda: None, lambda: ["x"]][n]()

    fake.install(Node)
    clip = core.apisr.Upscale(blank())
    assert [failure(lambda: clip.get_frame(n)) for n in range(4)] == [
        "Upscale: internal error: RuntimeError: frame 99 does not exist",
        "Upscale: internal error: ZeroDivisionError: division by zero",
        "Upscale: internal error: TypeError: object of type 'NoneType' has no len()",
        "Upscale: internal error: TypeError: 'str' object cannot be interpreted as an integer",
    ]


@pytest.mark.parametrize("with_needs", [False, True])
def test_error_of_the_source_passes_through(fake, with_needs):
    class Node(fake.Node):
        needs = staticmethod(lambda n: [n]) if with_needs else None

    fake.install(Node)
    broken = core.std.PropToClip(blank().std.ModifyFrame(blank(), _with_frame_except_2))
    clip = core.apisr.Upscale(broken)
    clip.get_frame(1)
    text = failure(lambda: clip.get_frame(2))
    assert text == failure(lambda: broken.get_frame(2)) and "Upscale" not in text
    clip.get_frame(3)


def _with_frame_except_2(n, f):
    result = f.copy()
    if n != 2:
        result.props["_Alpha"] = f
    return result


def test_traceback_goes_to_the_log_alone(fake, caplog):
    class Node(fake.Node):
        def render(self, n, frames, target):
            held = np.frombuffer(target[0][0], np.uint8)  # noqa: F841 must not live on in the log record
            raise LookupError("lost")

    fake.install(Node)
    with caplog.at_level(logging.DEBUG, "vsapisr"):
        assert failure(lambda: core.apisr.Upscale(blank()).get_frame(0)) == (
            "Upscale: internal error: LookupError: lost"
        )
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
    assert "Traceback" in caplog.text and "in render" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "vsapisr"):
        failure(lambda: core.apisr.Upscale(blank()).get_frame(0))
    assert not caplog.records
