"""Batches in flight: a device that does its work late and in any order its streams allow, under the real engine."""

from __future__ import annotations

import random
import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vsapisr.config import UpscaleConfig
from vsapisr.engine import streams, worker
from vsapisr.engine.frame import Conversion, Frame
from vsapisr.engine.upscaler import Upscaler
from vsapisr.engine.worker import Worker
from vsapisr.errors import DeviceError
from vsapisr.networks import forms
from vsapisr.picture.colour import RGB, YUV, Colour, Format

RGB24, FULL = Format(RGB, 0, 8), Colour(0, True)


class Late:
    """Streams whose work a thread of their own does later: any stream's next, in any order that events allow.

    Memory for copies is handed out again as soon as nobody holds it, and spoiled before that.
    """

    asynchronous = True

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.queues: dict[str, deque] = {}
        self.done: set[object] = set()
        self.errors: dict[object, BaseException] = {}
        self.changed = threading.Condition()
        self.free: list[tuple[object, np.ndarray]] = []
        self.reused = self.most = 0
        self.held = threading.Event()
        self.held.set()
        threading.Thread(target=self.work, daemon=True).start()

    def run(self, stream, work, after=None):
        event = object()
        with self.changed:
            self.queues.setdefault(stream, deque()).append((event, work, after))
            self.most = max(self.most, len(self.queues.get(streams.DOWNLOAD, ())))
            self.changed.notify_all()
        return event

    def ready(self):
        return [q for q in self.queues.values() if q and (q[0][2] is None or q[0][2] in self.done)]

    def work(self):
        while True:
            with self.changed:
                self.changed.wait_for(self.ready)
                queue = self.random.choice(self.ready())
                event, work, after = queue[0]
            self.held.wait(20)
            try:
                if after in self.errors:
                    raise self.errors[after]  # what follows a failure fails with it
                work()
            except BaseException as error:
                self.errors[event] = error
            with self.changed:
                queue.popleft()
                self.done.add(event)
                self.changed.notify_all()

    def host(self, like):
        kind = (tuple(like.shape), like.dtype)
        for number, (key, array) in enumerate(self.free):  # noqa: B007  used behind the loop
            if key == kind:
                del self.free[number]
                self.reused += 1
                break
        else:
            array = torch.empty(like.shape, dtype=like.dtype).numpy()
        tensor = torch.from_numpy(array[:])
        weakref.finalize(tensor, self.give_back, kind, array)
        return tensor

    def give_back(self, kind, array):
        array.view(np.uint8)[...] = 173
        self.free.append((kind, array))

    def to_device(self, host):
        return host.clone()

    def wait(self, event):
        with self.changed:
            assert self.changed.wait_for(lambda: event in self.done, 20)
        if event in self.errors:
            raise self.errors[event]

    def drain(self):
        with self.changed:
            self.changed.wait_for(lambda: not any(self.queues.values()), 20)


def nearest(x):
    return torch.nn.functional.interpolate(x, scale_factor=4, mode="nearest")


@pytest.fixture
def late(monkeypatch):
    """Makes the CPU's worker a late one; its streams."""
    made = []

    def make(device):
        made.append(Late(len(made)))
        return made[-1]

    monkeypatch.setattr(worker, "streams_of", make)
    monkeypatch.setattr(Worker, "workers", {})
    monkeypatch.setattr(forms, "load_form", lambda *_: nearest)
    return made


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (72, 104, 3), dtype=np.uint8)


def enlarge(upscaler: Upscaler, image: np.ndarray) -> np.ndarray:
    out = np.zeros((4 * image.shape[0], 4 * image.shape[1], 3), np.uint8)
    frame = Frame([image[..., c] for c in range(3)], Conversion(RGB24, FULL, RGB24, FULL))
    upscaler.render(frame, [out[..., c] for c in range(3)])
    return out


def make(**arguments) -> Upscaler:
    return Upscaler(UpscaleConfig(device="cpu", tilesize=(48, 40), **arguments), 104, 72, RGB24, RGB24)


def test_many_frames_at_once_are_right(late):
    one = make(batch=2)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda seed: enlarge(one, picture(seed)), range(24)))
    one.close()
    for seed, result in enumerate(results):
        assert np.array_equal(result, picture(seed).repeat(4, 0).repeat(4, 1))
    assert late[0].reused > 20, "memory for copies went round"
    assert late[0].most > 1, "several batches were on their way"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_more_batches_on_their_way_than_asked_for(late, count):
    one = make(batch=1, num_streams=count)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: enlarge(one, picture(seed)), range(8)))
    one.close()
    assert late[0].most == count


def test_filters_do_not_count_each_others_batches(late):
    first, second = make(batch=1, num_streams=1), make(batch=1, num_streams=1)
    late_one = first.engine.worker
    with ThreadPoolExecutor(8) as pool:
        pairs = [(pool.submit(enlarge, one, picture(seed)), seed) for seed in range(6) for one in (first, second)]
        for future, seed in pairs:
            assert np.array_equal(future.result(), picture(seed).repeat(4, 0).repeat(4, 1))
    assert second.engine.worker is late_one
    first.close()
    second.close()
    assert late[0].most == 2


def test_an_error_on_the_device_reaches_its_own_frame_only(late):
    one = make(batch=1)

    def sometimes(x):
        if x.mean() > 0.9:
            raise RuntimeError("an illegal address")
        return nearest(x)

    one.engine.network = sometimes
    white = np.full((72, 104, 3), 255, np.uint8)
    with ThreadPoolExecutor(4) as pool:
        good = [pool.submit(enlarge, one, picture(seed)) for seed in range(4)]
        bad = pool.submit(enlarge, one, white)
        with pytest.raises(RuntimeError, match="an illegal address"):
            bad.result()
        for seed, future in enumerate(good):
            assert np.array_equal(future.result(), picture(seed).repeat(4, 0).repeat(4, 1))
    one.close()


def test_out_of_memory_while_others_are_on_their_way(late, caplog):
    one = make(batch=4)

    def limited(x):
        if x.shape[0] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return nearest(x)

    one.engine.network = limited
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda seed: enlarge(one, picture(seed)), range(6)))
    one.close()
    for seed, result in enumerate(results):
        assert np.array_equal(result, picture(seed).repeat(4, 0).repeat(4, 1))
    assert one.engine.batch == 1
    assert "out of memory on cpu: going on with batches of 1" in [r.getMessage() for r in caplog.records]


def test_closing_delivers_what_is_on_its_way(late):
    one = make(batch=1, num_streams=2)
    served = one.engine.worker
    late_one = wait_for_streams(late)
    late_one.held.clear()
    with ThreadPoolExecutor(1) as pool:
        frame = pool.submit(enlarge, one, picture(1))
        with late_one.changed:
            assert late_one.changed.wait_for(lambda: late_one.most == 2, 20)
        closing = threading.Thread(target=one.close)
        closing.start()
        late_one.held.set()
        closing.join(20)
        assert not closing.is_alive() and not served.thread.is_alive()
        with pytest.raises(DeviceError, match="the filter was closed"):
            frame.result()  # its first tiles came, the others were refused


def wait_for_streams(late: list[Late]) -> Late:
    """The worker's thread makes them."""
    while not late:
        threading.Event().wait(0.001)
    return late[0]


def test_subsampled_planes_of_another_type(late):
    """Planes of several shapes and types in a batch, 16 bit among them."""
    source = Format(YUV, 0, 16, 1, 1)
    one = Upscaler(UpscaleConfig(device="cpu", tilesize=(48, 40), batch=2), 104, 72, source, RGB24)
    planes = [
        np.full(shape, value, np.uint16)
        for shape, value in (((72, 104), 235 << 8), ((36, 52), 128 << 8), ((36, 52), 128 << 8))
    ]
    out = np.zeros((288, 416, 3), np.uint8)
    one.render(Frame(planes, Conversion(source, Colour(1, False), RGB24, FULL)), [out[..., c] for c in range(3)])
    one.close()
    assert (out == 255).all()
