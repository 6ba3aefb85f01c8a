"""Memory that runs out, is limited, or is only now and then free: recognised in any words, and never in the pixels."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch

from vsapisr.config import UpscaleConfig
from vsapisr.engine import devices, memory
from vsapisr.engine.cgroups import limit_and_used
from vsapisr.engine.frame import Conversion, Frame
from vsapisr.engine.memory import free_memory, total_memory
from vsapisr.engine.room import CPU_PIXELS, graph_bytes, memory_class, tile_pixels
from vsapisr.engine.upscaler import Upscaler
from vsapisr.errors import DeviceError
from vsapisr.needs import lacks_memory
from vsapisr.networks import forms
from vsapisr.picture.colour import RGB, Colour, Format
from vsapisr.reuse.clip import ClipUpscaler

RGB24, FULL, CPU = Format(RGB, 0, 8), Colour(0, True), torch.device("cpu")
MIB, GIB = 1 << 20, 1 << 30


def raised(work) -> Exception:
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def test_a_lack_of_memory_is_recognised_whoever_says_so():
    assert lacks_memory(raised(lambda: torch.empty(1 << 55)))
    assert lacks_memory(raised(lambda: np.empty(1 << 60, np.uint8)))
    assert lacks_memory(raised(lambda: bytearray(1 << 60)))
    assert lacks_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    for words in (
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "GET was unable to find an engine to execute this computation",
        "[enforce fail at alloc_cpu.cpp:73] data. DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte",
        "std::bad_alloc",
    ):
        assert lacks_memory(RuntimeError(words)), words
    assert lacks_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not lacks_memory(OSError(errno.ENOSPC, "No space left on device"))
    assert not lacks_memory(RuntimeError("a kernel that is not there"))
    assert lacks_memory(raised(lambda: cv2.resize(np.zeros((9, 9, 3), np.uint8), (1 << 24, 1 << 24))))
    loading = "libtorch_cpu.so: failed to map segment from shared object"
    assert lacks_memory(ImportError(loading)) and lacks_memory(OSError(loading))
    assert not lacks_memory(ImportError(f"{loading}: Operation not permitted"))
    assert not lacks_memory(ImportError("libgomp.so.1: cannot allocate memory in static TLS block"))
    assert not lacks_memory(ImportError("No module named 'torch'"))
    assert not lacks_memory(DeviceError("out of memory on cpu with tiles of 8x8: ..."))


LIMITED = """
import logging, resource, sys
import numpy as np, psutil, torch
import vsapisr
from vsapisr.engine.devices import ready
from vsapisr.config import UpscaleConfig

logging.basicConfig(format="%(message)s", stream=sys.stdout)
network = ready(UpscaleConfig(device="cpu"))
image = np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)
vsapisr.upscale_image(image, device="cpu", tilesize=48)  # whatever threads and buffers there are, exist
room = int(sys.argv[1]) << 20
resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + room,) * 2)
try:
    result = vsapisr.upscale_image(image, device="cpu")
    print(result.shape, result.std() > 10)
except vsapisr.VsapisrError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is Linux's")
def test_smaller_tiles_when_the_system_refuses_memory():
    """The allocator's own error, from a process that may have 40 MiB more where the frame's one tile takes 90."""
    done = subprocess.run([sys.executable, "-c", LIMITED, "40"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *words, last = done.stdout.strip().splitlines()
    assert words and all(line.startswith("out of memory on cpu: going on with tiles of ") for line in words)
    assert last == "(1024, 1024, 3) True"


COMMANDS = {
    "upscale": ("from vsapisr.cli import main; main()", ("upscale", "a.png", "--device", "cpu")),
    "reuse": ("from vsapisr.cli import main; main()", ("reuse", "a.png")),
    "fit": ("import train.__main__ as t; sys.exit(t.main())", ("fit", "--data.folder", ".", "--out", "run")),
    "vspipe": (
        "import vapoursynth as vs; vs.core.apisr.Upscale(vs.core.std.BlankClip(width=64, height=64, length=1))",
        (),
    ),
}
BEFORE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) << 20,) * 2)
sys.argv[:2] = ["x"]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v is Linux's")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("mebibytes", [400, 600])
def test_too_little_memory_to_load_anything_is_one_line(command: str, mebibytes: int, tmp_path: Path):
    """Libraries that cannot be mapped: neither a traceback nor the advice to install what is there."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 32, 3), np.uint8))
    code, arguments = COMMANDS[command]
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + code, str(mebibytes), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode in (1, 2) and "not enough memory" in last, done.stderr
    assert "pip install" not in done.stderr
    assert command == "vspipe" or "Traceback" not in done.stderr  # Python's own, of a script
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.png"]


def test_addresses_that_opencv_would_crash_without_are_one_line(monkeypatch):
    held = psutil.Process().memory_info().vms
    monkeypatch.setattr(memory, "address_space", lambda: held + 100 * MIB)
    with pytest.raises(DeviceError, match=r"not enough memory: \d+ MiB are left of what ulimit -v allows, 330 MiB are"):
        memory.check_room()
    monkeypatch.setattr(memory, "address_space", lambda: held + GIB)
    memory.check_room()


def nearest(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(x, scale_factor=4, mode="nearest")


class Shared:
    """A machine on which tiles that are kept and a tile in work share ``room`` bytes."""

    def __init__(self, room: int):
        self.room, self.cache, self.sizes = room, None, []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(x.shape[2] * x.shape[3])
        kept = self.cache.used if self.cache else 0
        if kept + x.numel() * 64 > self.room:
            return torch.empty(1 << 55)  # the real error
        return nearest(x)


def test_computed_tiles_are_forgotten_before_tiles_get_smaller(monkeypatch, caplog):
    network = Shared(3 * MIB)
    monkeypatch.setattr(forms, "load_form", lambda *_: network)
    size = 96
    upscaler = ClipUpscaler(UpscaleConfig(device="cpu", cache=4000), size, size, RGB24, RGB24, 40)
    network.cache = upscaler.cache
    noise = np.random.default_rng(1)
    for n in range(40):
        frame = noise.integers(0, 256, (3, size, size), dtype=np.uint8)
        out = np.zeros((3, 4 * size, 4 * size), np.uint8)
        upscaler.frame(n, {n: list(frame)}, FULL, list(out), FULL)
        assert np.array_equal(out, frame.repeat(4, 1).repeat(4, 2))
    assert set(network.sizes) == {size * size}, "tiles stayed as they were"
    assert upscaler.cache.budget < 4 * MIB
    words = [record.getMessage() for record in caplog.records]
    assert words and all(line.startswith("out of memory: going on with a smaller cache, ") for line in words)
    upscaler.close()


def test_memory_that_runs_out_while_weights_are_loaded_is_one_line(monkeypatch):
    monkeypatch.setattr(forms, "load_form", lambda *_: torch.empty(1 << 55))
    with pytest.raises(DeviceError, match="out of memory on cpu while loading default: "):
        devices.ready(UpscaleConfig(device="cpu"))


def groups(root: Path, lines: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": lines, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_limits_of_a_container(tmp_path):
    top = "sys/fs/cgroup"
    second = groups(tmp_path / "v2", "0::/pod/own\n", {
        f"{top}/pod/memory.max": f"{700 * MIB}\n", f"{top}/pod/memory.current": f"{500 * MIB}\n",
        f"{top}/pod/memory.stat": f"anon 5\ninactive_file {100 * MIB}\nactive_file 7\n",
        f"{top}/pod/own/memory.max": "max\n", f"{top}/pod/own/memory.current": "5\n",
    })  # fmt: skip
    assert limit_and_used(second) == [(700 * MIB, 400 * MIB)]
    first = groups(tmp_path / "v1", "9:name=systemd:/x\n4:cpu,memory:/docker/abc\n0::/\n", {
        # the path is the host's: inside, the container's own group is at the top
        f"{top}/memory/memory.limit_in_bytes": f"{512 * MIB}\n",
        f"{top}/memory/memory.usage_in_bytes": f"{100 * MIB}\n",
        f"{top}/memory/memory.stat": f"cache 1\ntotal_inactive_file {10 * MIB}\n",
    })  # fmt: skip
    assert limit_and_used(first) == [(512 * MIB, 90 * MIB)]
    none = groups(tmp_path / "none", "4:memory:/\n", {f"{top}/memory/memory.limit_in_bytes": "9223372036854771712\n"})
    assert limit_and_used(none) == [] == limit_and_used(tmp_path / "nothing here")


def test_what_is_free_is_what_the_container_leaves(monkeypatch):
    monkeypatch.setattr(memory, "limit_and_used", lambda: [(700 * MIB, 400 * MIB), (GIB, 100 * MIB)])
    assert free_memory(CPU) == 300 * MIB and total_memory(CPU) == 700 * MIB
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)
    clip = ClipUpscaler(UpscaleConfig(device="cpu"), 1920, 1080, RGB24, RGB24, 9)
    assert clip.cache.budget <= 300 * MIB // 8
    clip.close()


def test_tiles_do_not_depend_on_what_is_free(monkeypatch):
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)

    def tile(**arguments: object) -> tuple[int, int]:
        upscaler = Upscaler(UpscaleConfig(device="cpu", **arguments), 1280, 720, RGB24, RGB24)
        upscaler.close()
        return upscaler.tile

    usual = tile()
    assert usual[0] * usual[1] <= CPU_PIXELS == tile_pixels(CPU, 1)
    plenty = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: plenty._replace(available=300 * MIB))
    assert tile() == usual == tile(batch=16, precision="bf16")


def test_devices_of_a_kind_are_of_one_class():
    assert {memory_class(int(size * GIB)) for size in (23.5, 23.7, 24.0)} == {24 * GIB}
    assert memory_class(int(7.6 * GIB)) == 8 * GIB and memory_class(int(79.1 * GIB)) == 80 * GIB
    assert memory_class(100 * MIB) == GIB


def test_graphs_are_counted_where_tiles_are_planned(monkeypatch):
    from vsapisr.engine import room

    monkeypatch.setattr(room, "total_memory", lambda device: int(7.7 * GIB))
    cuda, bytes_per_pixel = torch.device("cuda", 0), 3 * 64 * 16 * 2 * 4
    tiles = tile_pixels(cuda, bytes_per_pixel) * bytes_per_pixel
    assert graph_bytes(cuda) == GIB and 4 * tiles + graph_bytes(cuda) <= 8 * GIB


def test_running_out_in_the_thread_that_asks_counts_too(monkeypatch):
    """Not only what the device's thread allocates: here the copy of a tile's samples."""
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)
    upscaler = Upscaler(UpscaleConfig(device="cpu", tilesize=(80,), overlap=8), 80, 80, RGB24, RGB24)
    get = upscaler.engine.get

    def refused(frame, tile):
        if tile.y.stop - tile.y.start > 40:
            np.empty(1 << 60, np.uint8)
        return get(frame, tile)

    monkeypatch.setattr(upscaler.engine, "get", refused)
    image = np.random.default_rng(2).integers(0, 256, (3, 80, 80), dtype=np.uint8)
    out = np.zeros((3, 320, 320), np.uint8)
    upscaler.render(Frame(list(image), Conversion(RGB24, FULL, RGB24, FULL)), list(out))
    assert np.array_equal(out, image.repeat(4, 1).repeat(4, 2)) and upscaler.tile != (80, 80)
    upscaler.close()
