"""The engine and what feeds it: batches, memory that runs out, several filters on one device, closing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from scripts.cel import Painter
from vsapisr import load_model, upscale_image
from vsapisr.config import UpscaleConfig
from vsapisr.engine.devices import choose_device
from vsapisr.engine.frame import Conversion, Frame
from vsapisr.engine.upscaler import Upscaler
from vsapisr.engine.worker import Worker
from vsapisr.errors import ArgumentError, DeviceError
from vsapisr.networks import forms
from vsapisr.networks.descriptor import Descriptor
from vsapisr.picture import tiles
from vsapisr.picture.colour import RGB, Colour, Format

RGB24, FULL = Format(RGB, 0, 8), Colour(0, True)


class Recorder:
    """Nearest-neighbour enlargement that notes what it is given, and may refuse."""

    def __init__(self):
        self.shapes, self.limit, self.gate, self.entered = [], None, None, threading.Event()
        self.descriptor = Descriptor()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.entered.set()
        if self.gate:
            self.gate.wait(20)
        self.shapes.append(tuple(x.shape))
        if self.limit is not None and x.shape[0] * x.shape[2] * x.shape[3] > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return torch.nn.functional.interpolate(x, scale_factor=self.descriptor.scale, mode="nearest")


@pytest.fixture
def network(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(forms, "load_form", lambda *_: recorder)
    return recorder


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (72, 104, 3), dtype=np.uint8)


def enlarge(upscaler: Upscaler, image: np.ndarray) -> np.ndarray:
    out = np.zeros((4 * image.shape[0], 4 * image.shape[1], 3), np.uint8)
    frame = Frame([image[..., c] for c in range(3)], Conversion(RGB24, FULL, RGB24, FULL))
    upscaler.render(frame, [out[..., c] for c in range(3)])
    return out


@pytest.fixture
def upscaler(network, image):
    made = []

    def make(**arguments) -> Upscaler:
        config = UpscaleConfig(device="cpu", **arguments)
        made.append(Upscaler(config, image.shape[1], image.shape[0], RGB24, RGB24))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_tiles_of_concurrent_frames_share_batches(network, image, upscaler):
    one = upscaler(tilesize=(48, 40), batch=4)
    network.gate = threading.Event()
    with ThreadPoolExecutor(6) as pool:
        results = [pool.submit(enlarge, one, image) for _ in range(6)]
        network.gate.set()
        for result in results:
            assert np.array_equal(result.result(), image.repeat(4, 0).repeat(4, 1))
    assert {shape[1:] for shape in network.shapes} == {(3, 40, 48)}, "all tiles have one shape"
    assert max(shape[0] for shape in network.shapes) == 4


def test_less_memory_means_smaller_batches_then_smaller_tiles(network, image, upscaler, caplog):
    one = upscaler(batch=4)
    network.limit = 5000  # pixels in a batch; the whole frame has 72 * 104
    assert np.array_equal(enlarge(one, image), image.repeat(4, 0).repeat(4, 1))
    assert one.engine.batch == 1 and one.tile[0] * one.tile[1] <= 5000
    words = [record.getMessage() for record in caplog.records]
    assert words[0] == "out of memory on cpu: going on with batches of 2"
    assert words[-1] == f"out of memory on cpu: going on with tiles of {one.tile[0]}x{one.tile[1]}"


def test_a_batch_that_did_not_fit_is_halved_once_for_all_its_frames(network, image, upscaler):
    one = upscaler(batch=4)
    network.gate, network.limit = threading.Event(), 2 * image[..., 0].size
    with ThreadPoolExecutor(9) as pool:
        results = [pool.submit(enlarge, one, image)]
        assert network.entered.wait(20)  # it waits in the network alone, so that the others are together
        results += [pool.submit(enlarge, one, image) for _ in range(8)]
        end = time.monotonic() + 20
        while len(one.engine.worker.jobs) < 8 and time.monotonic() < end:
            time.sleep(0.001)
        network.gate.set()
        for result in results:
            assert np.array_equal(result.result(), image.repeat(4, 0).repeat(4, 1))
    assert max(shape[0] for shape in network.shapes) == 4, "no batch was too large"
    assert one.engine.batch == 2 and one.tile == (image.shape[1], image.shape[0])


def test_no_memory_at_all_is_an_error(network, image, upscaler):
    network.limit = 10
    with pytest.raises(DeviceError, match=r"out of memory on cpu with tiles of \d+x\d+: CUDA out of memory"):
        enlarge(upscaler(), image)


def test_other_failures_of_the_network_reach_the_caller(network, image, upscaler, monkeypatch):
    def fail(x):
        raise RuntimeError("a kernel that is not there")

    one = upscaler()
    monkeypatch.setattr(one.engine, "network", fail)
    with pytest.raises(RuntimeError, match="a kernel that is not there"):
        enlarge(one, image)


def test_filters_on_one_device_share_its_thread(image, upscaler, monkeypatch):
    monkeypatch.setattr(Worker, "workers", {})  # other tests' filters may still be alive
    first, second = upscaler(), upscaler()
    assert first.engine.worker is second.engine.worker
    thread = first.engine.worker.thread
    first.close()
    assert thread.is_alive()
    enlarge(second, image)
    second.close()
    assert not thread.is_alive() and first.engine.device not in Worker.workers


def test_a_closed_filter_says_so(image, upscaler):
    one = upscaler()
    one.close()
    one.close()
    with pytest.raises(DeviceError, match="the filter was closed"):
        enlarge(one, image)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu", "device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ("cpu:1", "device must be auto, cpu, cuda or cuda:N, got 'cpu:1'"),
        ("cuda:x", "device must be auto, cpu, cuda or cuda:N, got 'cuda:x'"),
    ],
)
def test_devices_that_do_not_exist(device, message):
    with pytest.raises(DeviceError) as caught:
        UpscaleConfig(device=device)
        upscale_image(np.zeros((8, 8, 3), np.uint8), device=device)
    assert str(caught.value) == message


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_the_first_device_is_one_however_it_is_called(monkeypatch):
    """Filters on it share weights and a worker by that."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert {choose_device(name) for name in ("auto", "cuda", "cuda:0")} == {torch.device("cuda", 0)}


def test_cuda_without_cuda():
    with pytest.raises(DeviceError, match=r"device 'cuda' was asked for, but torch \S+ finds no CUDA device"):
        upscale_image(np.zeros((8, 8, 3), np.uint8), device="cuda")


def test_the_network_says_which_tiles_it_can_work_on(network, image):
    network.descriptor = Descriptor(scale=4, multiple=16, overlap=16)
    for arguments, words in (
        ({"tilesize": 40}, "tilesize must be multiples of 16, got 40"),
        ({"tilesize": 32}, "tilesize must be more than twice the overlap of 16, got 32"),
        ({"tilesize": 48, "overlap": 8}, "overlap must be a multiple of 16, got 8"),
    ):
        with pytest.raises(ArgumentError) as caught:
            upscale_image(image, device="cpu", **arguments)
        assert str(caught.value) == words
    assert np.array_equal(upscale_image(image, device="cpu", tilesize=64), image.repeat(4, 0).repeat(4, 1))
    assert {shape[2:] for shape in network.shapes} == {(64, 64)}


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_network_says_how_much_it_enlarges(network, image, scale):
    network.descriptor = Descriptor(scale=scale)
    result = upscale_image(image, device="cpu", tilesize=40)
    assert np.array_equal(result, image.repeat(scale, 0).repeat(scale, 1))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32"])
def test_images_of_any_type(network, image, kind):
    whole = image if kind == "uint8" else (image / 255 * (65535 if kind == "uint16" else 1)).astype(kind)
    result = upscale_image(whole, device="cpu")
    assert result.dtype == whole.dtype and np.array_equal(result, whole.repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((8, 8), np.uint8), r"image must be \(H, W, 3\), got \(8, 8\)"),
        (np.zeros((0, 8, 3), np.uint8), r"image must be \(H, W, 3\), got \(0, 8, 3\)"),
        (np.zeros((8, 8, 3), np.int32), "image must be uint8, uint16, float16, float32, got int32"),
    ],
)
def test_what_is_no_image(bad, message):
    with pytest.raises(ArgumentError, match=message):
        upscale_image(bad)


def test_a_loaded_model_is_the_callers_own(image):
    before = upscale_image(image, device="cpu", model="fidelity")
    kept = Upscaler(UpscaleConfig(device="cpu", model="fidelity"), 8, 8, RGB24, RGB24)
    mine = load_model("fidelity")
    with torch.no_grad():
        for value in (*mine.parameters(), *mine.buffers()):
            value.zero_()
    assert np.array_equal(upscale_image(image, device="cpu", model="fidelity"), before)
    kept.close()


@pytest.mark.parametrize(("overlap", "tile", "levels", "psnr"), [(8, 48, 6, 63), (16, 56, 1, 78)])
def test_tiles_of_the_shipped_network_show_no_seam(overlap, tile, levels, psnr):
    """The table of docs/tiling.md, with the cuts at exactly that overlap; 8 is the default. The picture is half as wide
    as those of the table, so there is twice as much of the seam in it, which is 3 dB less.
    """
    frame = Painter(180).frame("talk", 12)[50:130, 120:200]
    whole = upscale_image(frame, device="cpu", tilesize=80, overlap=0).astype(int)
    tiled = upscale_image(frame, device="cpu", tilesize=tile, **({"overlap": overlap} if overlap != 8 else {}))
    plan = tiles.plan(80, 80, (tile, tile), overlap)
    assert {(t.x.start, t.x.stop, t.x.keep_start, t.x.keep_stop) for t in plan} == {
        (0, tile, 0, 40), (80 - tile, 80, 40, 80)}  # fmt: skip
    assert tile - 40 == overlap
    difference = np.abs(whole - tiled)
    assert 0 < difference.max() <= levels
    assert np.mean(difference**2) <= 255**2 / 10 ** (psnr / 10)
