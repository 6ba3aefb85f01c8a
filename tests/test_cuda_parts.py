"""What only runs on CUDA, with a device that is made up: order of streams and events, graphs, falling back."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch

from vsapisr.engine import graphs, streams
from vsapisr.engine.graphs import GraphedNetwork
from vsapisr.engine.streams import COMPUTE, DOWNLOAD, UPLOAD, CudaStreams


class Device:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.log: list[tuple] = []
        self.on: list[str] = []
        self.made = 0
        self.failure: Exception | None = None

    def stream(self, _: object) -> SimpleNamespace:
        self.made += 1
        name = f"stream {self.made}"
        return SimpleNamespace(
            name=name,
            wait_event=lambda event: self.log.append((name, "waits for", event.name)),
            synchronize=lambda: self.log.append((name, "is waited for")),
        )

    def event(self, blocking: bool) -> SimpleNamespace:
        assert blocking, "who waits must sleep"
        event = SimpleNamespace(name=f"event {sum(step[1] == 'records' for step in self.log) + 1}")
        event.record = lambda stream: self.log.append((stream.name, "records", event.name))
        event.synchronize = lambda: self.log.append((event.name, "is waited for"))
        return event

    @contextmanager
    def current(self, stream: SimpleNamespace):
        self.on.append(stream.name)
        yield
        self.on.pop()

    @contextmanager
    def graph(self, graph: SimpleNamespace, pool: object, stream: object, capture_error_mode: str):
        assert capture_error_mode == "thread_local", "other threads may use the device meanwhile"
        self.log.append(("capture", pool))
        if self.failure:
            raise self.failure
        yield


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device()
    cuda = SimpleNamespace(
        Stream=made.stream,
        Event=made.event,
        stream=made.current,
        device=lambda _: nullcontext(),
        current_stream=lambda *_: made.stream(None),
        graph_pool_handle=lambda: (1, 2),
        graph=made.graph,
        CUDAGraph=lambda: SimpleNamespace(replay=lambda: made.log.append(("replay",))),
    )
    for module in (streams, graphs):
        monkeypatch.setattr(module, "torch", SimpleNamespace(**{**vars(torch), "cuda": cuda}))
    return made


def test_work_waits_for_its_event_on_its_own_stream(device: Device) -> None:
    made = CudaStreams(torch.device("cuda"))
    names = {name: stream.name for name, stream in made.streams.items()}
    uploaded = made.run(UPLOAD, lambda: device.log.append(("work", device.on[-1])))
    computed = made.run(COMPUTE, lambda: device.log.append(("work", device.on[-1])), uploaded)
    made.run(DOWNLOAD, lambda: device.log.append(("work", device.on[-1])), computed)
    assert device.log == [
        ("work", names[UPLOAD]),
        (names[UPLOAD], "records", uploaded.name),
        (names[COMPUTE], "waits for", uploaded.name),
        ("work", names[COMPUTE]),
        (names[COMPUTE], "records", computed.name),
        (names[DOWNLOAD], "waits for", computed.name),
        ("work", names[DOWNLOAD]),
        (names[DOWNLOAD], "records", "event 3"),
    ]
    device.log.clear()
    made.wait(computed)
    made.drain()
    assert device.log == [(computed.name, "is waited for"), *((name, "is waited for") for name in names.values())]


def test_without_page_locked_memory_it_goes_on(device, monkeypatch, caplog) -> None:
    made, asked = CudaStreams(torch.device("cuda")), []

    def empty(shape, dtype, pin_memory=False):
        asked.append(pin_memory)
        if pin_memory:
            raise RuntimeError("cannot pin")
        return torch.zeros(shape, dtype=dtype)

    monkeypatch.setattr(streams.torch, "empty", empty)
    like = torch.ones(2, 3, dtype=torch.uint8)
    for _ in range(2):
        host = made.host(like)
        assert host.shape == like.shape and host.dtype == like.dtype
    assert asked == [True, False, False] and caplog.text.count("no page-locked memory (cannot pin)") == 1


class Network:
    def __init__(self) -> None:
        self.calls = 0
        self.asked: list[tuple] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * 2

    def held(self, batch: int, height: int, width: int) -> object:
        self.asked.append((batch, height, width))
        return "held"


def test_a_graph_is_recorded_at_the_second_call_and_replayed_from_then_on(device: Device) -> None:
    net = Network()
    graphed, x = GraphedNetwork(net), torch.ones(1, 3, 8, 16)
    assert torch.equal(graphed(x), x * 2) and not device.log
    graphed(x)
    assert device.log == [("capture", (1, 2)), ("replay",)] and net.calls == 2 and net.asked == [(1, 8, 16)]
    (recorded,) = graphed.recorded.values()
    assert recorded.held == "held", "what it reads must live as long as it"
    graphed(5 * x)
    assert device.log[2:] == [("replay",)] and net.calls == 2 and torch.equal(recorded.input, 5 * x)
    graphed(x.half())
    assert net.calls == 3, "another type is another graph"


def test_the_oldest_graph_goes_after_it_has_run(device: Device) -> None:
    graphed = GraphedNetwork(Network(), limit=2)
    for side in (8, 16):
        for _ in range(2):
            graphed(torch.ones(1, 3, side, 8))
    device.log.clear()
    graphed(torch.ones(1, 3, 8, 8))  # used again: the other one is the oldest
    graphed(torch.ones(1, 3, 24, 8))
    assert [key[0][2] for key in graphed.recorded] == [8, 24]
    assert device.log[0] == ("replay",) and device.log[1][1] == "is waited for", "it may still be running"
    graphed.clear()
    assert not graphed.recorded and graphed.pool is None


def test_graphs_are_bounded_by_what_they_keep(device: Device) -> None:
    """Shapes of one size of batch and of several count alike; the last graph stays whatever its size."""
    one = 2 * torch.ones(1, 3, 8, 8).nbytes
    graphed = GraphedNetwork(Network(), room=4 * one)
    for batch in (1, 2, 3):
        for _ in range(2):
            graphed(torch.ones(batch, 3, 8, 8))
            assert sum(kept.size for kept in graphed.recorded.values() if kept) <= 4 * one
    assert [key[0][0] for key in graphed.recorded] == [3]
    for _ in range(2):
        graphed(torch.ones(9, 3, 8, 8))
    assert [key[0][0] for key in graphed.recorded] == [9]


@pytest.mark.parametrize("failure", [torch.OutOfMemoryError("none left"), RuntimeError("capture failed\nin detail")])
def test_where_no_graph_can_be_it_goes_on_without(device: Device, failure: Exception, caplog) -> None:
    net = Network()
    graphed, x = GraphedNetwork(net), torch.ones(1, 3, 8, 8)
    device.failure = failure
    for _ in range(4):
        assert torch.equal(graphed(x), x * 2)
    assert [step for step in device.log if step[0] == "capture"] == [("capture", (1, 2))], "it is tried once"
    assert net.calls == 4 and caplog.text.count("CUDA graph on") == 1 and "in detail" not in caplog.text
