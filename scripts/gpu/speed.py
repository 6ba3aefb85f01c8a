"""How fast is it? The network in its forms, its parts, the whole chain, and what of the device's limits that is."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor, nn

from scripts.bench.flops import grl_flops, rrdb_flops
from scripts.bench.timing import machine
from scripts.gpu.context import Context
from scripts.gpu.throughput import chain as chain
from vsapisr.engine.graphs import GraphedNetwork
from vsapisr.networks.cuda.grl_cuda import GRLCuda
from vsapisr.networks.grl_inference import GRLInference
from vsapisr.picture.colour import YUV, Colour, Format, from_rgb
from vsapisr.picture.guard import keep

SIZES = {"256x256": (256, 256), "480p": (480, 854), "720p": (720, 1280), "1080p": (1080, 1920)}  # (height, width)
TARGETS = {"480p": 200, "720p": 60}  # frames a second, on an H200


def chosen_sizes(context: Context) -> dict[str, tuple[int, int]]:
    if context.dry:
        return {"tiny": (8, 8)}
    return {name: SIZES[name] for name in ("256x256", "720p")} if context.quick else SIZES


def fewest_bytes(channels: int = 64, size: int = 2) -> float:
    """Bytes a source pixel must move through device memory as the kernels are cut: maps read once and written once."""
    one = channels * size
    blocks = 8 * 2 * one + 8 * (one + one // 2 + one + one // 2 + one)
    convs = 5 * 3 * one + (3 * size + 2 * one) + 2 * one
    tail = (1 + 4) * one + (4 + 16) * one + 16 * (one + 27 * size) + 16 * (27 * size + 3 * size)
    return blocks + convs + tail


def environment(context: Context) -> None:
    """Versions, and the device's own limits on random data: matrix products, copies, the bus."""
    context.emit(**machine())
    for module in ("triton", "vapoursynth"):
        found = importlib.util.find_spec(module)
        context.emit(
            module=module,
            version=getattr(importlib.import_module(module), "__version__", "?") if found else "not there",
        )
    device, n, megabytes = context.device, (64, 1) if context.dry else (8192, 4096), 1 << 20
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        context.emit(
            name=about.name,
            capability=f"{about.major}.{about.minor}",
            multiprocessors=about.multi_processor_count,
            memory=about.total_memory,
            shared=about.shared_memory_per_block_optin,
            cuda=torch.version.cuda,
        )
    side, count = n
    a, b = (torch.randn(side, side, device=device, dtype=context.half) for _ in range(2))
    context.attempt("matmul", lambda: context.measure("ceiling: matrix product", lambda: a @ b, flops=2 * side**3))
    if device.type == "cuda":
        count = min(count, torch.cuda.mem_get_info(device)[0] // megabytes // 4)
    context.attempt("copy", lambda: copies(context, count * megabytes))


def copies(context: Context, size: int) -> None:
    """``size`` bytes within the device's memory; at most 256 MiB over the bus."""
    source = torch.randint(0, 255, (size,), dtype=torch.uint8, device=context.device)
    target = torch.empty_like(source)
    context.measure("ceiling: copy", lambda: target.copy_(source), bytes=2 * size)
    if context.device.type == "cuda":
        host = torch.empty(min(size, 256 << 20), dtype=torch.uint8, pin_memory=True)
        part = target[: host.numel()]
        context.measure("ceiling: upload", lambda: part.copy_(host, non_blocking=True), bytes=host.numel())
        context.measure("ceiling: download", lambda: host.copy_(part, non_blocking=True), bytes=host.numel())


def called(net: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.inference_mode():
            return net(image)

    return run


def graphed(net: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], Tensor]:
    """Replays on a stream of their own, which the timing events wait for."""
    runner, stream = GraphedNetwork(net), torch.cuda.Stream()

    def run() -> Tensor:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), torch.inference_mode():
            out = runner(image)
        torch.cuda.current_stream().wait_stream(stream)
        return out

    return run


def forms(context: Context, height: int, width: int, compiled: bool) -> dict[str, Callable[[], Callable[[], Tensor]]]:
    """Name -> what makes a call of that form; made one after the other, so that each has the memory to itself."""
    device, half = context.device, context.half
    image = context.image(1, height, width).to(device)
    small = image.to(half).contiguous(memory_format=torch.channels_last)

    def eager(dtype: torch.dtype) -> nn.Module:
        net = context.grl().to(device, dtype, memory_format=torch.channels_last)
        net.memory_format = torch.channels_last
        return net

    def ours(use: str) -> Callable[[Tensor], Tensor]:
        return GRLCuda(context.grl(), half, device, use=use)

    def rrdb() -> nn.Module:
        return context.rrdb().to(device, half, memory_format=torch.channels_last)

    made = {
        "eager fp32": lambda: called(context.grl().to(device), image),
        "eager fp16 NHWC": lambda: called(eager(half), small),
        "ours plain": lambda: called(ours("plain"), small),
        "ours kernels": lambda: called(ours("kernels"), small),
        "ours as chosen": lambda: called(ours("auto"), small),
        "RRDB 6 fp16 NHWC": lambda: called(rrdb(), small),
    }
    if device.type == "cuda":
        made |= {
            "ours plain, graph": lambda: graphed(ours("plain"), small),
            "ours kernels, graph": lambda: graphed(ours("kernels"), small),
            "ours as chosen, graph": lambda: graphed(ours("auto"), small),
            "RRDB 6 fp16 NHWC, graph": lambda: graphed(rrdb(), small),
        }
    if compiled:
        made |= {
            "eager fp16 NHWC, torch.compile": lambda: called(torch.compile(eager(half)), small),
            "ours plain, torch.compile": lambda: called(
                torch.compile(GRLInference(context.grl(), half).to(device)), small
            ),
            "RRDB 6 fp16 NHWC, torch.compile": lambda: called(torch.compile(rrdb()), small),
        }
    return made


def network(context: Context, compiled: bool = False) -> None:
    """The network alone, one image at a time, at each size; ratios to eager fp32 and to RRDB."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    sizes = chosen_sizes(context)
    if compiled and not context.dry:
        sizes = {name: sizes[name] for name in list(sizes)[-1:]} if context.quick else {"720p": SIZES["720p"]}
    for size, (height, width) in sizes.items():
        medians: dict[str, float] = {}
        for name, make in forms(context, height, width, compiled).items():
            if compiled and "compile" not in name and name != "ours as chosen":
                continue

            def one(name: str = name, make: Callable = make) -> None:
                flops = rrdb_flops() if name.startswith("RRDB") else sum(grl_flops().values())
                medians[name] = context.measure(name, make(), size=size, flops=flops * height * width)

            context.attempt(f"{size} {name}", one)
        best = min((v for k, v in medians.items() if k.startswith("ours")), default=None)
        if best is None:
            continue
        row: dict[str, object] = {"summary": size, "best_fps": 1 / best, "target_fps": TARGETS.get(size, "none")}
        row |= {
            f"times_{name.replace(' ', '_')}": medians[name] / best for name in medians if not name.startswith("ours")
        }
        pixels = height * width
        row |= {
            "tflops_done": sum(grl_flops(folded=True).values()) * pixels / best / 1e12,
            "fewest_gigabytes_per_second": fewest_bytes() * pixels / best / 1e9,
        }
        context.emit(**row)


def compiled(context: Context) -> None:
    """``torch.compile``, the yardstick: takes a minute a form."""
    if context.dry:
        context.emit(skipped="torch.compile", reason="takes too long on a CPU")
        return
    network(context, compiled=True)


def parts(context: Context) -> None:
    """Body and tail, plain, compiled and by kernels; single kernels against their share of the limits; strips of the
    tail.
    """
    height, width = (8, 8) if context.dry else (720, 1280)
    pixels, half, device = height * width, context.half, context.device
    plain, fast = (GRLCuda(context.grl(), half, device, use=use) for use in ("plain", "kernels"))
    fast.prepare()
    image = context.image(1, height, width).to(device, half)
    with torch.inference_mode():
        features = plain.plain_body(image)
    flops = grl_flops(folded=True)
    tail = (
        sum(flops[name] for name in ("conv_before_upsample", "conv_up1", "conv_up2", "conv_hr", "conv_last")) * pixels
    )
    body = sum(flops.values()) * pixels - tail

    def inference(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            with torch.inference_mode():
                return call()

        return run

    for name, form in (("plain", plain), ("kernels", fast)):
        chosen_body, chosen_tail = (form.kernel_body or form.plain_body), (form.kernel_tail or form.plain_tail)
        context.attempt(
            f"body {name}", lambda: context.measure(f"body {name}", inference(lambda: chosen_body(image)), flops=body)
        )
        context.attempt(
            f"tail {name}",
            lambda: context.measure(
                f"tail {name}", inference(lambda: chosen_tail(features, 4 * height, 4 * width)), flops=tail
            ),
        )
    context.attempt("around the network", lambda: around(context, fast, image, inference))
    if fast.batch_invariant:
        context.attempt("single kernels", lambda: single(context, features, inference))


def around(context: Context, fast: GRLCuda, image: Tensor, inference: Callable) -> None:
    """What a frame's way has besides the network: guard, and samples of 8 bits, 4:2:0."""
    enlarged = torch.rand(1, 3, *(4 * side for side in image.shape[-2:]), device=context.device, dtype=context.half)
    target = Format(YUV, 0, 8, 1, 1), Colour(1, False), (0, 0, 0, 0)
    both = {
        "guard": (keep, fast.keep),
        "samples": (lambda x, _: from_rgb(x, *target), lambda x, _: fast.from_rgb(x, *target)),
    }
    for name, (plain, form) in both.items():
        context.measure(f"{name} plain", inference(lambda: plain(enlarged, image)))
        context.measure(f"{name} {fast.parts[name]}", inference(lambda: form(enlarged, image)))


def single(context: Context, x: Tensor, inference: Callable) -> None:
    """Each kernel on a 720p map."""
    from vsapisr.networks.cuda.kernels import tuning, verdict
    from vsapisr.networks.cuda.kernels.block import PackedBlock
    from vsapisr.networks.cuda.kernels.conv import PackedConv, Rows
    from vsapisr.networks.cuda.kernels.form import KernelTail

    grl, flops = context.grl().requires_grad_(False), grl_flops(folded=True)
    found = verdict.found(grl, context.half, context.device)
    context.emit(**found)
    tilings = tuning.tilings_from(found["tilings"])
    b, h, w, _c = x.shape
    out, one = torch.empty_like(x), x.numel() * x.element_size()
    pixels, rows = b * h * w, Rows(0, h)
    attention = sum(flops[name] for name in ("qkv", "anchors", "window", "stripe", "proj", "mlp")) / 16 * pixels
    for layer in grl.layers[0].blocks[:2]:
        packed = PackedBlock(layer, context.half, context.device)
        name = "shifted block" if packed.shift else "block"
        context.measure(
            name,
            inference(lambda: packed.run(x, out, tilings.block, tilings.window)),
            flops=attention,
            bytes=(4 if packed.shift else 2) * one,
        )
    conv = PackedConv(grl.conv_hr, context.half, context.device, slope=0.2)
    context.measure(
        "conv 3x3",
        inference(lambda: conv.run(x, rows, out, rows, h, tilings.conv)),
        bytes=2 * one,
        flops=flops["conv_before_upsample"] * pixels,
    )
    image, weight = (
        x.permute(0, 3, 1, 2),
        grl.conv_hr.weight.to(context.device, context.half, memory_format=torch.channels_last),
    )
    context.measure(
        "conv 3x3 by the library",
        inference(lambda: torch.conv2d(image, weight, padding=1)),
        bytes=2 * one,
        flops=flops["conv_before_upsample"] * pixels,
    )
    tail = KernelTail(grl, context.half, context.device)
    for megabytes in (1,) if context.dry else (32, 128, 512, 4096):
        call = inference(lambda: tail(x, 4 * h, 4 * w, tilings, megabytes << 20))
        context.measure(f"tail in strips of {megabytes} MiB", call)


def training(context: Context) -> None:
    """The benchmark of a training step, where there is one."""
    try:
        from scripts.bench import step
    except ImportError as error:  # training needs more packages than the filter
        context.emit(skipped="training", reason=str(error))
        return
    if context.dry:
        context.emit(skipped="training", reason="nothing to run here")
        return
    context.attempt("training", lambda: context.emit(training=step.gpu_steps(3 if context.quick else 10)))
