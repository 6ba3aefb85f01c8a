"""``core.apisr.Upscale`` with real networks: the same frames however they are asked for, and words for bad input."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import subprocess
import sysconfig
from itertools import combinations
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import vapoursynth as vs

from vsapisr.networks.grl import GRL, GRLConfig

from .networks import write

core = vs.core
SCRIPT = """
import vapoursynth as vs
core = vs.core
still = core.std.BlankClip(width=72, height=56, format=vs.YUV420P8, length=12, color=[60, 110, 150])
bar = core.std.BlankClip(still, width=8, color=[200, 90, 160])
def moving(n):
    parts = [still.std.Crop(right=68 - 4 * n), bar, still.std.Crop(left=4 * n + 12)]
    return core.std.StackHorizontal(parts)
clip = core.std.FrameEval(still, moving)
result = core.apisr.Upscale(clip, model={model!r}, tilesize=[48, 48], overlap=8, device="cpu")
result.set_output()
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A real network, small and with weights that make something of every input."""
    torch.manual_seed(3)
    model = GRL(GRLConfig(dim=16, depths=(1, 1), mlp_dim=16, bias_dim=16))
    return write(model, tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def digest(frame: vs.VideoFrame) -> str:
    return hashlib.sha256(b"".join(bytes(plane) for plane in map(memoryview, frame))).hexdigest()


def in_python(script: str, order: list[int]) -> list[str]:
    names: dict = {}
    exec(script, names)
    hashes = dict.fromkeys(order)
    for n in order:
        hashes[n] = digest(names["result"].get_frame(n))
    return [hashes[n] for n in sorted(order)]


def in_vspipe(folder: Path, script: str, requests: int) -> list[str]:
    (folder / "script.vpy").write_text(script, encoding="utf-8")
    scripts = sysconfig.get_path("scripts")
    environment = os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"], "XDG_CONFIG_HOME": str(folder)}
    command = [Path(scripts, "vspipe"), "-r", str(requests), folder / "script.vpy", "-"]
    data = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300).stdout
    size = len(data) // 12
    return [hashlib.sha256(data[i * size : (i + 1) * size]).hexdigest() for i in range(12)]


def test_the_same_frames_in_any_order_and_host(tiny, tmp_path):
    script = SCRIPT.format(model=str(tiny))
    forwards = list(range(12))
    shuffled = random.Random(0).sample(forwards, 12)
    wanted = in_python(script, forwards)
    assert len(set(wanted)) == 12
    assert in_python(script, forwards[::-1]) == wanted
    assert in_python(script, shuffled) == wanted
    names: dict = {}
    exec(script, names)
    together = [names["result"].get_frame_async(n) for n in shuffled]
    assert [digest(f.result()) for _, f in sorted(zip(shuffled, together), key=lambda pair: pair[0])] == wanted
    assert in_vspipe(tmp_path, script, 1) == wanted
    assert in_vspipe(tmp_path, script, 8) == wanted


def test_memory_stays_flat(tiny):
    """A short form of what scripts/stress/soak.py does for thousands."""
    process = psutil.Process()
    clip = core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=2000)

    def some(frames: int, filters: int) -> int:
        node = clip.apisr.Upscale(model=str(tiny), device="cpu")
        for n in range(frames):
            node.get_frame(n)
        for _ in range(filters):
            clip.apisr.Upscale(model=str(tiny), device="cpu").get_frame(0)
        gc.collect()
        return process.memory_info().rss

    frame = 16 * 64 * 48 * 3 // 2  # bytes of a result: one left behind per frame is 50 of them a round
    some(150, 15)
    sizes = [some(50, 5) for _ in range(9)]
    slope = float(np.median([(b - a) / (j - i) for (i, a), (j, b) in combinations(enumerate(sizes), 2)]))
    assert slope < 25 * frame, "the median of all slopes: what Python's own caches do once does not count"


def refusal(call) -> str:
    with pytest.raises(vs.Error) as caught:
        call()
    return str(caught.value)


def blank(**changes) -> vs.VideoNode:
    return core.std.BlankClip(**({"width": 32, "height": 16, "format": vs.YUV420P8, "length": 4} | changes))


def test_words_for_bad_clips():
    assert refusal(lambda: core.apisr.Upscale()) == "Upscale: argument clip is required"
    sizes = core.std.Splice([blank(), blank(width=64)], mismatch=True)
    assert refusal(sizes.apisr.Upscale) == "Upscale: clip must have a constant size"
    formats = core.std.Splice([blank(), blank(format=vs.YUV444P8)], mismatch=True)
    assert refusal(formats.apisr.Upscale) == "Upscale: clip must have a constant format"
    wide = blank(format=vs.GRAY32)
    assert refusal(wide.apisr.Upscale) == "Upscale: clip must be 8 to 16 bit integer, half or float, got 32 bit integer"
    eighth = blank(format=core.query_video_format(vs.YUV, vs.INTEGER, 8, 3, 0).id)
    assert refusal(eighth.apisr.Upscale) == "Upscale: clip must be subsampled by 1, 2 or 4, got 8x1"


def test_words_for_bad_arguments(tmp_path):
    def words(**arguments) -> str:
        return refusal(lambda: blank().apisr.Upscale(**arguments))

    assert words(tilesize=[100, 64]) == "Upscale: tilesize must be multiples of 8, got 100x64"
    assert words(tilesize=[-64]) == "Upscale: tilesize must not be negative, got -64"
    assert words(overlap=-8) == "Upscale: overlap must not be negative, got -8"
    assert words(device="npu") == "Upscale: device must be auto, cpu, cuda or cuda:N, got 'npu'"
    assert words(precision="int8") == "Upscale: precision must be one of auto, fp32, fp16, bf16, got 'int8'"
    if not torch.cuda.is_available():
        wanted = f"Upscale: device 'cuda' was asked for, but torch {torch.__version__} finds no CUDA device"
        assert words(device="cuda") == wanted
    assert words(model="defualt").startswith("Upscale: unknown model 'defualt'; known are default")
    missing = str(tmp_path / "none.pth")
    assert words(model=missing) == f"Upscale: model file {missing!r} does not exist"
    (tmp_path / "text.pth").write_text("not a checkpoint")
    assert words(model=str(tmp_path / "text.pth")) == (
        f"Upscale: {tmp_path / 'text.pth'} is neither a safetensors nor a PyTorch file"
    )
    assert words(format=1) == "Upscale: format must be GRAY, RGB or YUV, got color family 0"
    assert words(format=int(vs.GRAY8) | 1) == "Upscale: format must not be subsampled unless it is YUV"
    assert words(format=int(vs.RGB24) | 2 << 24) == (
        "Upscale: format must have integer or float samples, got sample type 2"
    )
    assert (
        words(format=int(vs.GRAY32)) == "Upscale: format must be 8 to 16 bit integer, half or float, got 32 bit integer"
    )


def test_a_clip_that_fails_in_the_middle(tiny):
    clip = blank(length=8)

    def source(n):
        if n == 2:
            raise RuntimeError("tape torn")
        return clip

    node = core.std.FrameEval(clip, source).apisr.Upscale(model=str(tiny), device="cpu")
    node.get_frame(0)
    for n in (1, 2, 3):  # the neighbours are looked at too
        assert "tape torn" in refusal(lambda: node.get_frame(n))
    node.get_frame(4)
    one = core.std.FrameEval(clip, source).apisr.Upscale(model=str(tiny), device="cpu", tilesize=64)
    assert "tape torn" in refusal(lambda: one.get_frame(2))
    one.get_frame(1)


def test_filters_of_several_kinds_at_once(tiny):
    clips = [
        blank(format=f).apisr.Upscale(model=str(tiny), device="cpu", precision=p)
        for f, p in ((vs.RGB24, "fp32"), (vs.YUV420P10, "bf16"), (vs.GRAYS, "fp32"))
    ]
    frames = [clip.get_frame_async(n) for n in range(4) for clip in clips]
    assert {f.result().format.id for f in frames} == {vs.RGB24, vs.YUV420P10, vs.GRAYS}


def test_version():
    from vsapisr import __version__

    facts = {k: v.decode() if isinstance(v, bytes) else v for k, v in core.apisr.Version().items()}
    assert facts["version"] == facts["bridge"] == __version__, json.dumps(facts)
