"""What ``vsapisr info`` says: versions, devices, models, the plugin. Lines of text."""

from __future__ import annotations

import json
import platform
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError, safe_open

from .. import __version__
from ..engine.memory import free_memory, total_memory
from ..engine.room import CPU_PIXELS, memory_class
from ..errors import WeightsError
from ..networks import zoo
from ..networks.cpu import network as native
from ..networks.grl import GRLConfig
from ..weights import files as weights
from ..weights import published

NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float64: "fp64"}
GB = 1e9


def overview() -> Iterator[str]:
    """Everything but the inside of a model."""
    yield f"vsapisr {__version__}, torch {torch.__version__}, {vapoursynth()}, Python {platform.python_version()}"
    yield ""
    yield "Devices"
    yield from devices()
    yield ""
    yield "Models"
    for name, path in weights.shipped().items():
        yield f"  {name}: shipped, {summary(path)}"
    for name in published.PUBLISHED:
        try:
            path = published.cached(name)
        except WeightsError:
            yield f"  {name}: published, not on this machine; get it with: vsapisr fetch {name}"
        else:
            yield f"  {name}: published, {summary(path)}, {path}"
    yield ""
    yield "Plugin"
    yield f"  {plugin()}"


def vapoursynth() -> str:
    """Its version."""
    try:
        import vapoursynth as vs
    except ImportError as error:
        return f"VapourSynth cannot be imported ({error})"
    return f"VapourSynth R{vs.__version__.release_major}"


def plugin() -> str:
    """Is ``core.apisr`` there, and from where?"""
    try:
        import vapoursynth as vs
    except ImportError:
        return "core.apisr is not there, as VapourSynth is not"
    if not hasattr(vs.core, "apisr"):
        return "core.apisr is not there: VapourSynth found no plugin of this package; was it installed with pip?"
    bridge = vs.core.apisr.Version()["bridge"]
    bridge = bridge.decode() if isinstance(bridge, bytes) else bridge
    return f"core.apisr {bridge}, {vs.core.apisr.plugin_path}"


def devices() -> Iterator[str]:
    """CPU and CUDA devices under the names that ``device`` takes."""
    cpu = torch.device("cpu")
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count()
    yield (
        f"  cpu: {processor()}, {cores} cores, {torch.get_num_threads()} threads, "
        f"{free_memory(cpu) / GB:.1f} of {total_memory(cpu) / GB:.1f} GB free"
    )
    yield f"       {kernels()}"
    yield f"       automatic tiles of at most {CPU_PIXELS:,} pixels"
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        try:
            free, total = torch.cuda.mem_get_info(index)
        except RuntimeError as error:
            yield f"  cuda:{index}: {properties.name}, cannot be used ({str(error).splitlines()[0]})"
            continue
        yield (
            f"  cuda:{index}: {properties.name}, compute capability {properties.major}.{properties.minor}, "
            f"{free / GB:.1f} of {total / GB:.1f} GB free"
        )
        yield f"       automatic tiles as for a device of {memory_class(properties.total_memory) >> 30} GiB"


def kernels() -> str:
    """The CPU's compiled kernels that the published network's precisions use here."""
    words = {native.LEVELS["avx2"]: "AVX2", native.LEVELS["avx512"]: "AVX-512",
    native.LEVELS["avx512_bf16"]: "AVX512-BF16",
             native.LEVELS["amx_bf16"]: "AMX"}  # fmt: skip
    levels = {NAMES[dtype]: native.level_for(dtype, GRLConfig()) for dtype in (torch.float32, torch.bfloat16)}
    found = ", ".join(f"{precision} by {words[level]}" for precision, level in levels.items() if level)
    return f"compiled kernels: {found}" if found else "no compiled kernels: torch's operators, which are slower"


def processor() -> str:
    """The CPU's name, as far as the platform tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing for other kinds."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


def counted(file: weights.Contents) -> tuple[int, str]:
    """(number of parameters, types of the numbers in the file).

    Raises:
        WeightsError: see :mod:`vsapisr.weights.files`.
    """
    types = sorted({NAMES.get(one.dtype, str(one.dtype)) for one in file.tensors.values() if one.is_floating_point()})
    return sum(value.numel() for value in file.state.values()), ", ".join(types)


def summary(path: Path) -> str:
    """One line on a weight file, even a broken one."""
    try:
        file = weights.contents(path)
        if weights.is_grl(file):
            weights.hyperparameters(file)
            count, types = counted(file)
        else:
            model, (_, types) = zoo.load(file), counted(file)
            count = parameters(model.model)
    except WeightsError as error:
        return f"unusable: {error}"
    trained = metadata(path).get("iterations")
    return f"{count:,} parameters, {types}" + (f", {trained} iterations" if trained else "")


def inside(model: str, raw: bool = False) -> Iterator[str]:
    """What the file of a model's name or path holds; ``raw``: its whole metadata.

    Raises:
        WeightsError: it cannot be loaded; the text says why.
    """
    path = weights.find(model)
    file = weights.contents(path)
    if not weights.is_grl(file):
        yield from others(file, raw)
        return
    config = weights.hyperparameters(file)
    count, types = counted(file)
    weights.network_of(file)  # all that can be wrong with a file is said here, not at the first frame
    yield f"{path}"
    yield f"GRL, enlarges four times, {count:,} parameters, {types}, {path.stat().st_size / 1e6:.1f} MB"
    yield fingerprint(path)
    yield ""
    yield "Hyperparameters"
    for name in ("dim", "depths", "heads_window", "heads_stripe", "mlp_dim", "bias_dim", "window", "anchor_down"):
        yield f"  {name}: {getattr(config, name)}"
    kept = metadata(path)
    if raw:
        for name, value in kept.items():
            yield ""
            yield from entry(name, value)
        return
    try:
        lines = list(training(kept))
    except (TypeError, ValueError, ArithmeticError):  # of a file that somebody else wrote, values of other kinds
        lines = []
    if lines:
        yield ""
        yield "Training"
        yield from (f"  {line}" for line in lines)
    if lines := card(path):
        yield ""
        yield from lines
    if kept:
        yield ""
        yield f"All {len(kept)} entries of the file: vsapisr info {model} --raw"


def others(file: weights.Contents, raw: bool) -> Iterator[str]:
    """Of a network that spandrel runs.

    Raises:
        WeightsError: it cannot be loaded; the text says why.
    """
    model = zoo.load(file)
    descriptor, (_, types) = zoo.described(file, model), counted(file)
    size = f"{parameters(model.model):,} parameters, {types}, {file.path.stat().st_size / 1e6:.1f} MB"
    yield f"{file.path}"
    times = {1: "keeps the size", 2: "enlarges twice", 4: "enlarges four times"}[model.scale]
    yield f"{zoo.architecture(model)}, {times}, {size}"
    yield fingerprint(file.path)
    yield ""
    yield "Run by spandrel"
    yield f"  architecture: {model.architecture.name} ({', '.join(model.tags)})"
    yield f"  scale: {', '.join(str(one) for one in (2, 4) if one <= model.scale) or 'its own alone'}"
    yield f"  precision: {', '.join(zoo.precisions(model))}"
    yield f"  tiles: multiples of {descriptor.multiple}"
    yield (
        f"  overlap: {descriptor.overlap}, measured: pixels at a cut differ by at most {descriptor.difference:.2g} "
        "of 255 steps"
    )
    if raw:
        for name, value in file.metadata.items():
            yield ""
            yield from entry(name, value)


def parameters(network: torch.nn.Module) -> int:
    """How many it has."""
    return sum(one.numel() for one in network.parameters())


def fingerprint(path: Path) -> str:
    """The file's SHA-256, and what is known of it: of published models, whatever their place, by name or content."""
    found = published.hash_of(path)
    known = {name: model for name, model in published.PUBLISHED.items() if model.sha256}
    for name, model in known.items():
        if model.is_right(found):
            return f"SHA-256 {found}, that of {name}"
    named = next((name for name, model in known.items() if model.file == path.name), None)
    return f"SHA-256 {found}" + (f", not that of {named}, {known[named].sha256}" if named else "")


def training(kept: dict[str, str]) -> Iterator[str]:
    """The metadata that a person asks for, in words."""
    try:
        config = json.loads(kept.get("config", "{}"))
        blend = json.loads(kept.get("blend", "{}"))
    except (ValueError, RecursionError):
        config, blend = {}, {}
    data = table(config, "data")
    degradation = table(data, "degradation")
    if "iterations" in kept:
        stage = f" of stage {kept['stage']}" if "stage" in kept else ""
        known = {"batch", "patch"} <= data.keys()
        batch = f", {data['batch']} crops of {4 * data['patch']}x{4 * data['patch']} each" if known else ""
        yield f"last step: {kept['iterations']} iterations{stage}{batch}"
    if "losses" in kept:
        yield f"losses: {kept['losses']}"
    if "drawings" in kept:
        easy = table(degradation, "easy").get("probability", 0)
        spared = f", {easy:.0%} of the samples with one codec alone" if easy else ""
        preset = f"; degradation: {degradation['preset']}{spared}" if "preset" in degradation else ""
        yield f"data: {kept['drawings']} drawings{preset}"
    if isinstance(blend, dict) and blend:
        yield f"mixed with another network: {blend.get('share', 0):.0%} of it"
    if "vsapisr" in kept:
        yield f"written by vsapisr {kept['vsapisr']}"


def table(values: object, key: str) -> dict[str, Any]:
    """What ``values`` has under ``key``; nothing where that is no table, as in a file that somebody else wrote."""
    found = values.get(key) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def card(path: Path) -> list[str]:
    """Of the card beside a shipped model: what it is and for whom, its figures, and where the rest is."""
    try:
        text = path.with_suffix(".md").read_text(encoding="utf-8")
    except OSError:
        return []
    parts = [part for part in text.split("\n\n") if part.strip() and not part.startswith("#")]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", parts[0]).replace("`", "") if parts else ""
    figures = next((part.strip().splitlines() for part in parts if part.lstrip().startswith("|")), [])
    lines = [*textwrap.wrap(plain, 98), *([""] if figures else []), *figures, "", f"more: {path.with_suffix('.md')}"]
    return ["Card", *(f"  {line}" if line else "" for line in lines)]


def entry(name: str, value: str) -> Iterator[str]:
    """An entry of the metadata; one that is a JSON object on several lines."""
    try:
        parts = json.loads(value)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, dict):
        yield f"{name}: {value}"
        return
    yield name
    for key, part in parts.items():
        yield f"  {key}: {part if isinstance(part, str) else json.dumps(part)}"
