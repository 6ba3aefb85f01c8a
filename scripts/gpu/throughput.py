"""Frames a second of the whole engine, many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import numpy as np
import torch

from scripts.gpu.context import Context
from scripts.gpu.right import FORMATS, levels, random_planes
from vsapisr.config import UpscaleConfig
from vsapisr.engine.frame import Conversion, Frame
from vsapisr.engine.upscaler import Upscaler
from vsapisr.picture.colour import Colour


def chain(context: Context) -> None:
    """Frames through the whole engine, from planes in memory to planes in memory, as the filter is used."""
    sizes = {"tiny": (8, 16)} if context.dry else {"720p": (720, 1280), "480p": (480, 854)}  # the time may be over
    for size, shape in sizes.items():
        for name in ("YUV420P8",) if context.dry else ("YUV420P8", "YUV420P10", "RGB24"):
            for flights in (1,) if context.dry else (1, 2, 3, 4):
                if flights != 3 and name != "YUV420P8":
                    continue
                context.attempt(f"chain {size} {name}", lambda: one_chain(context, size, shape, name, flights))


def at_once[T](workers: int, work: Callable[[], T], stop: threading.Event) -> list[T]:
    """What ``work`` gives in each of ``workers`` threads; after an error the others are told to stop."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work) for _ in range(workers)]
        wait(futures, return_when=FIRST_EXCEPTION)
        stop.set()
        return [future.result() for future in futures]


def one_chain(context: Context, size: str, shape: tuple[int, int], name: str, flights: int) -> None:
    height, width = shape
    format = FORMATS[name]
    config = UpscaleConfig(device=str(context.device.type), num_streams=flights)
    upscaler = Upscaler(config, width, height, format, format)
    planes = random_planes(format, width, height)
    colour = Colour(1 if format.color_family == 3 else 0, format.color_family == 2)
    workers = 1 if context.dry else 8
    lock, seconds, frames, stop = threading.Lock(), [], [], threading.Event()

    def worker(count: int) -> list[np.ndarray]:
        out = [np.zeros((4 * p.shape[0], 4 * p.shape[1]), p.dtype) for p in planes]
        for _ in range(count):
            if stop.is_set():
                break
            start = time.perf_counter()
            upscaler.render(Frame(planes, Conversion(format, colour, format, colour)), out)
            with lock:
                seconds.append(time.perf_counter() - start)
                frames.append(time.perf_counter())
        return out

    try:
        at_once(workers, lambda: worker(1 if context.dry else 4), stop)  # compiles, measures, records graphs
        seconds.clear()
        frames.clear()
        stop.clear()
        timer = threading.Timer(2 if context.quick else 4, stop.set)
        timer.start()
        begin = time.perf_counter()
        results = at_once(workers, lambda: worker(1 if context.dry else 10_000), stop)
        timer.cancel()
    finally:
        upscaler.close()
    apart = max(levels(result, results[0], format) for result in results)
    context.check(f"chain {size} {name}, {flights} in flight: one frame, eight times", apart, 1)
    context.emit(
        chain=size,
        format=name,
        in_flight=flights,
        fps=len(frames) / (frames[-1] - begin),
        frames=len(frames),
        tile=upscaler.tile,
        batch=upscaler.engine.batch,
        latency_median=float(np.median(seconds)),
        latency_p99=float(np.quantile(seconds, 0.99)),
        megabytes_up=sum(p.nbytes for p in planes) / 1e6,
        megabytes_down=16 * sum(p.nbytes for p in planes) / 1e6,
        reserved_bytes=torch.cuda.memory_reserved() if context.device.type == "cuda" else 0,
    )
