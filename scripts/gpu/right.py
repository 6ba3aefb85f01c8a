"""Is it right? Every path on the device against the readable network in fp32 on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from scripts.gpu.context import Context
from vsapisr.config import UpscaleConfig
from vsapisr.engine.frame import Conversion, Frame
from vsapisr.engine.graphs import GraphedNetwork
from vsapisr.engine.upscaler import Upscaler
from vsapisr.networks.cuda.grl_cuda import GRLCuda
from vsapisr.networks.grl_inference import GRLInference
from vsapisr.picture.colour import GRAY, RGB, YUV, Colour, Format

LARGEST = {torch.float32: 1e-3, torch.float16: 0.01, torch.bfloat16: 0.05}
"""Accepted largest difference from fp32 on the CPU, of full scale 1."""
FORMATS = {
    "RGB24": Format(RGB, 0, 8),
    "RGB48": Format(RGB, 0, 16),
    "RGBH": Format(RGB, 1, 16),
    "RGBS": Format(RGB, 1, 32),
    "GRAY8": Format(GRAY, 0, 8),
    "GRAY16": Format(GRAY, 0, 16),
    "YUV420P8": Format(YUV, 0, 8, 1, 1),
    "YUV420P10": Format(YUV, 0, 10, 1, 1),
    "YUV422P8": Format(YUV, 0, 8, 1, 0),
    "YUV444P16": Format(YUV, 0, 16),
    "YUV410P8": Format(YUV, 0, 8, 2, 2),
    "YUV444PS": Format(YUV, 1, 32),
}


def sizes(context: Context) -> list[tuple[int, int]]:
    """(height, width)"""
    return [(8, 8)] if context.dry else [(64, 64), (72, 40), (37, 53), (1, 1), (8, 200), (272, 480)]


def difference(got: Tensor, wanted: Tensor) -> float:
    error = (got.float().cpu() - wanted).abs()
    return error.max().item() if error.isfinite().all() else float("nan")


def psnr(got: Tensor, wanted: Tensor) -> float:
    return -10 * torch.log10((got.float().cpu().clamp(0, 1) - wanted.clamp(0, 1)).square().mean() + 1e-20).item()


def compare(context: Context, name: str, form: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    grl = context.grl()
    for height, width in sizes(context):
        image = context.image(1, height, width)
        with torch.inference_mode():
            wanted, got = grl(image), form(image.to(context.device, dtype))
        context.check(
            f"{name} {str(dtype)[6:]} {width}x{height}", difference(got, wanted), LARGEST[dtype], psnr=psnr(got, wanted)
        )


def plain(context: Context) -> None:
    """The form without kernels, in all precisions."""
    for dtype in LARGEST:
        form = GRLInference(context.grl(), dtype).to(context.device)
        context.attempt(f"plain {dtype}", lambda: compare(context, "plain", form, dtype))


class Warnings(logging.Handler):
    """Turns the package's warnings into rows."""

    def __init__(self, context: Context):
        super().__init__(logging.INFO)
        self.context = context

    def emit(self, record: logging.LogRecord) -> None:
        self.context.emit(said=record.getMessage(), level=record.levelname)


def kernels(context: Context) -> None:
    """The form with kernels, asked for without regard to speed; then as it chooses itself."""
    for dtype in (context.half,) if context.dry else (torch.float16, torch.bfloat16):
        form = GRLCuda(context.grl(), dtype, context.device, use="kernels")
        context.attempt(f"kernels {dtype}", lambda: compare(context, "kernels", form, dtype))
        if form.ready:  # the time may have been over before
            left = sum(part == "plain" for part in form.parts.values())
            context.check(f"kernels {str(dtype)[6:]}: parts left plain", float(left), 0)
        context.attempt("company", lambda: company(context, "kernels", form, dtype, exact_sizes=form.batch_invariant))
    chosen = GRLCuda(context.grl(), context.half, context.device, use="plain" if context.dry else "auto")
    chosen.prepare()
    context.emit(chosen=chosen.parts)


def company(
    context: Context, name: str, form: Callable[[Tensor], Tensor], dtype: torch.dtype, exact_sizes: bool
) -> None:
    """A tile's numbers must depend neither on its place, nor on its company, nor on the run: difference exactly 0."""
    side = 8 if context.dry else 128
    tiles = context.image(2 if context.dry else 4, side, side).to(context.device, dtype)
    with torch.inference_mode():
        whole = form(tiles)
        others = {
            "again": (form(tiles), whole),
            "place in the batch": (form(tiles.roll(1, 0)), whole.roll(1, 0)),
            "company": (form(torch.cat((tiles[:1], torch.zeros_like(tiles[1:]))))[:1], whole[:1]),
        }
        if exact_sizes:
            others["alone"] = (form(tiles[:1]), whole[:1])
    for what, (got, wanted) in others.items():
        context.check(f"{name} {str(dtype)[6:]} batch: {what}", difference(got, wanted.float().cpu()), 0)


def graphs(context: Context) -> None:
    """Replays of graphs, several shapes in turn and more than are kept, against plain calls."""
    form = GRLCuda(context.grl(), context.half, context.device)
    form.prepare()
    context.attempt(
        "plain company",
        lambda: company(
            context,
            "plain",
            GRLInference(context.grl(), context.half).to(context.device),
            context.half,
            exact_sizes=False,
        ),
    )
    if context.dry:
        context.emit(skipped="graphs", reason="no CUDA device")
        return
    graphed = GraphedNetwork(form, limit=3)
    shapes = [(1, 64, 64), (2, 64, 96), (1, 40, 200), (4, 32, 32)]
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.inference_mode():
        for turn in range(4):
            for shape in shapes if turn % 2 else shapes[:2]:
                image = context.image(*shape).cuda().half() * (1 - 0.1 * turn)
                wanted, got = form(image), graphed(image).clone()
                context.check(f"graph {shape} turn {turn}", difference(got, wanted.float().cpu()), 0)
    context.check("graphs given up", float(not graphed.possible), 0)
    context.check("shapes with a graph", float(-sum(r is not None for r in graphed.recorded.values())), -1)


def random_planes(format: Format, width: int, height: int) -> list[np.ndarray]:
    """A picture with edges, in the format's own range."""
    random = np.random.default_rng(0)
    planes = []
    for number in range(format.planes):
        down, right = format.subsampling(number)
        coarse = random.random((-(-height // 8), -(-width // 8))).repeat(8, 0).repeat(8, 1)[:height, :width]
        values = coarse[:: 1 << down, :: 1 << right]
        if format.sample_type:
            chroma = number and format.color_family == YUV
            planes.append(
                (values - 0.5 * bool(chroma)).astype(np.float16 if format.bits_per_sample == 16 else np.float32)
            )
        else:
            top = (1 << format.bits_per_sample) - 1
            planes.append((values * top).astype(np.uint8 if format.bits_per_sample == 8 else np.uint16))
    return planes


def rendered(
    format: Format, device: str, size: tuple[int, int], **arguments: object
) -> tuple[list[np.ndarray], Upscaler]:
    width, height = size
    upscaler = Upscaler(UpscaleConfig(device=device, **arguments), width, height, format, format)
    planes = random_planes(format, width, height)
    out = [np.zeros((4 * p.shape[0], 4 * p.shape[1]), p.dtype) for p in planes]
    colour = Colour(0 if format.color_family == RGB else 1, format.color_family == RGB)
    try:
        upscaler.render(Frame(planes, Conversion(format, colour, format, colour)), out)
    finally:
        upscaler.close()
    return out, upscaler


def levels(got: list[np.ndarray], wanted: list[np.ndarray], format: Format) -> float:
    """Largest difference in levels of 8 bits."""
    scale = 255 if format.sample_type else 255 / ((1 << format.bits_per_sample) - 1)
    return max(
        float(np.nanmax(np.abs(a.astype(float) - b.astype(float)))) * scale
        if np.isfinite(a.astype(float)).all()
        else float("nan")
        for a, b in zip(got, wanted)
    )


def filter(context: Context) -> None:
    """Frames through the engine, device against CPU: formats, tiles, batches, and memory that runs out."""
    size, device = ((16, 8), "cpu") if context.dry else ((96, 80), "cuda")
    for name, format in FORMATS.items() if not context.dry else list(FORMATS.items())[:1]:

        def one(name: str = name, format: Format = format) -> None:
            wanted = rendered(format, "cpu", size)[0]
            context.check(
                f"filter fp16 {name}", levels(rendered(format, device, size, precision="auto")[0], wanted, format), 3.5
            )

        context.attempt(name, one)
    tiling = {"tilesize": (16, 16), "overlap": 0} if context.dry else {"tilesize": (64, 48), "overlap": 8}
    rgb = FORMATS["RGB24"]

    def tiled() -> None:
        wanted = rendered(rgb, "cpu", size, **tiling)[0]
        for streams in (1, 3):
            got = rendered(rgb, device, size, num_streams=streams, **tiling)[0]
            context.check(f"filter tiled, {streams} in flight", levels(got, wanted, rgb), 3.5)

    def short() -> None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min((torch.cuda.memory_reserved() + (3 << 30)) / total, 1.0))
        try:
            got, upscaler = rendered(rgb, device, (2048, 1536), batch=4, tilesize=(2048, 1536))
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        context.emit(short_of_memory="2048x1536 in 3 GiB", batch=upscaler.engine.batch, tile=upscaler.tile)
        context.check("something in every tile", float(-min(plane.std() for plane in got)), -1)

    context.attempt("tiled", tiled)
    if not context.dry:
        context.attempt("short of memory", short)
