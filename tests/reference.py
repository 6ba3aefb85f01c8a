"""Numbers of the public implementation, small enough for the repository: ``tests/fixtures/reference.xz``.

Pictures that go in are rounded to 11 or 12 bits, and what comes out of them agrees within the tests' tolerances. What a
checkpoint of the public implementation gives cannot be small. Those numbers are this project's own, of weights that
follow from their names, made when it agreed with the public implementation on the checkpoint itself (``python -m
tests.reference FOLDER`` checks that, then writes the file). With the folder in ``VSAPISR_FIXTURES`` the tests take the
originals.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from train.data import pseudo_gt as lines
from train.export import published_layout
from vsapisr.networks.grl import GRL

FILE = Path(__file__).with_name("fixtures") / "reference.xz"
ICNET_BITS, BITS = 11, 12  # of the samples of pictures that go in
EVERY = 9  # of the rows and columns of an output are kept
SIZES = {"64x64": (64, 64), "72x40": (72, 40), "37x53": (37, 53), "96x136": (96, 136)}
GAMMA = 0.975
GAIN = 0.8  # of GRL: like trained weights, none of which is large


def fill(parameters: dict[str, Tensor], gain: float = 1.0) -> dict[str, Tensor]:
    """Weights that follow from their names: each is drawn from a generator seeded with the name's CRC-32."""
    made = {}
    for name, like in parameters.items():
        if not like.is_floating_point() or not like.numel():
            made[name] = like.clone()
            continue
        values = torch.randn(like.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        if name.endswith("running_var"):
            values = 1 + 0.2 * values.abs()
        elif name.endswith(("weight_u", "weight_v")):
            values = torch.nn.functional.normalize(values, dim=0)
        elif like.ndim >= 2:
            values = gain * values / math.sqrt(like[0].numel())
        else:
            values = (1 if name.endswith("weight") else 0) + 0.1 * values
        made[name] = values.to(like.dtype)
    return made


def image(height: int, width: int) -> Tensor:
    """(1, 3, height, width) in [0, 1], smooth and noisy by turns."""
    values = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height * width))
    smooth = torch.nn.functional.avg_pool2d(values, 5, 1, 2)
    return torch.where(torch.arange(width) // 8 % 2 == 0, smooth, values)


def drawing(height: int = 96, width: int = 120) -> np.ndarray:
    """(height, width, 3) uint8: discs and lines on a gradient, one of few pixels."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack((40 + y // 2, 90 + x // 4, 230 - (x + y) // 4), -1).astype(np.uint8)
    for number in range(14):
        centre, radius = (37 * number % height, 53 * number % width), 3 + 5 * number % 23
        far = np.hypot(y - centre[0], x - centre[1])
        picture[far < radius] = (250 - 9 * number, 60 + 7 * number, 11 * number)
        picture[np.abs(far - radius) < 1.2] = (20, 40, 230 - 3 * number)
    return picture


def made_up() -> dict[str, dict]:
    """What this project gives: of GRL at every ``EVERY``-th row and column, of line enhancement everywhere."""
    net = GRL().eval()
    net.load_state_dict(fill(net.state_dict(), GAIN))
    with torch.inference_mode():
        outputs = {name: net(image(*size))[..., ::EVERY, ::EVERY].numpy() for name, size in SIZES.items()}
    picture = drawing()
    once, _, thrice = (np.round(64 * one) / 64 for one in lines.sharpen(picture.astype(np.float32)))
    raw = lines.xdog(thrice, GAMMA)
    kept = lines.remove_outliers(raw)
    made = {"usm1": once, "usm3": thrice, "xdog_raw": raw, "filtered": kept, "dilated": lines.dilate(kept)}
    return {"grl": outputs, "lines": made | {"pseudo_gt": lines.enhance(picture, GAMMA).pseudo_gt}}


def published() -> dict:
    """A checkpoint in the published layout: weights after their names, and the buffers that follow from the sizes."""
    net = GRL()
    net.load_state_dict(fill(net.state_dict(), GAIN))
    return published_layout.published(net, torch.float32, {})


def packed(value: np.ndarray, bits: int = BITS) -> np.ndarray:
    """Samples in [0, 1] as differences along rows, one plane of bytes after the other: what compresses well."""
    levels = np.round(value.astype(np.float64) * (2**bits - 1)).astype(np.int64)
    return np.diff(levels, axis=-1, prepend=0).astype("<i4").view(np.uint8).reshape(*value.shape, 4)


def unpacked(value: np.ndarray, bits: int = BITS) -> np.ndarray:
    levels = np.ascontiguousarray(value).view("<i4")[..., 0].cumsum(-1)
    return (levels / (2**bits - 1)).astype(np.float32)


def write(folder: Path) -> None:
    """Make the file from the originals in ``folder``."""
    nets = torch.load(folder / "train_nets_expected.pt", weights_only=True)
    layout = torch.load(folder / "grl_tiny2_upstream_layout.pth", weights_only=True)["model_state_dict"]
    kept: dict[str, np.ndarray] = {
        "icnet/input": packed(nets["icnet"].pop("input").numpy(), ICNET_BITS),
        "disc/fake": packed(nets["disc"].pop("fake").numpy()),
        "disc/real": packed(nets["disc"].pop("real").numpy()),
    }
    with np.load(folder / "lines_expected.npz") as file:
        kept |= {f"maps/{name}": np.packbits(file[name]) for name in ("xdog_raw", "filtered", "dilated")}
        shape = file["xdog_raw"].shape
    made = made_up()
    for name, value in made["grl"].items():
        kept[f"grl/{name}"] = value.astype(np.float32)
    for name, value in made["lines"].items():
        kept[f"lines/{name}"] = value if value.dtype != np.float32 else np.round(value * 64).astype(np.int16)
    plain = json.dumps(
        {"nets": nets, "layout": {k: [str(v.dtype)[6:], *v.shape] for k, v in layout.items()}, "maps": shape},
        default=lambda value: value.tolist(),
    )
    data = io.BytesIO()
    np.savez(data, plain=np.frombuffer(plain.encode(), np.uint8), **kept)
    FILE.write_bytes(lzma.compress(data.getvalue(), preset=9))


def read() -> tuple[dict, dict[str, np.ndarray]]:
    """What is in words, and arrays by name."""
    with np.load(io.BytesIO(lzma.decompress(FILE.read_bytes()))) as file:
        kept = {name: file[name] for name in file.files}
    return json.loads(bytes(kept.pop("plain"))), kept


def tensors(value: object) -> object:
    """Lists of numbers and numbers become tensors, lists of lists of tensors stay lists, as in the original file."""
    if isinstance(value, dict):
        return {key: item if key in ("keys", "shapes", "weights") else tensors(item) for key, item in value.items()}
    ragged = isinstance(value, list) and len({str(np.shape(item)) for item in value}) > 1
    return [torch.tensor(item) for item in value] if ragged else torch.tensor(value)


def unpack(folder: Path) -> Path:
    """Write files like the originals into ``folder``."""
    plain, arrays = read()
    nets = tensors(plain["nets"])
    nets["icnet"]["input"] = torch.from_numpy(unpacked(arrays["icnet/input"], ICNET_BITS))
    for name in ("fake", "real"):
        nets["disc"][name] = torch.from_numpy(unpacked(arrays[f"disc/{name}"]))
    torch.save(nets, folder / "train_nets_expected.pt")
    made = published()
    entries = made["model_state_dict"].items()
    assert {name: [str(value.dtype)[6:], *value.shape] for name, value in entries} == plain["layout"]
    torch.save(made, folder / "grl_tiny2_upstream_layout.pth")
    outputs = {name: torch.from_numpy(arrays[f"grl/{name}"]) for name in SIZES}
    inputs = {name: image(*size) for name, size in SIZES.items()}
    torch.save({"inputs": inputs, "outputs": outputs, "every": EVERY}, folder / "grl_tiny2_expected.pt")
    made = {name[6:]: value for name, value in arrays.items() if name.startswith("lines/")}
    made = {name: value / np.float32(64) if value.dtype == np.int16 else value for name, value in made.items()}
    for name in ("usm1", "usm3", "pseudo_gt"):
        made[name] = made[name][..., ::-1]  # BGR, as the original has it
    np.savez(folder / "lines_expected.npz", gamma=GAMMA, **made)
    Image.fromarray(drawing()).save(folder / "lines_input.png")
    shutil.copy(FILE.with_name("blur_kernels_expected.npz"), folder)
    return folder


def check(folder: Path) -> None:
    """That this project agrees with the originals of which the file cannot have enough."""
    state = torch.load(folder / "grl_tiny2_upstream_layout.pth", weights_only=True)["model_state_dict"]
    expected = torch.load(folder / "grl_tiny2_expected.pt", weights_only=True)
    net = GRL().eval()
    net.load_state_dict({name: value for name, value in state.items() if name in net.state_dict()})
    with torch.inference_mode():
        for size, wanted in expected["outputs"].items():
            apart = (net(expected["inputs"][size]) - wanted).abs().max().item()
            print(f"GRL {size}: {apart:.1e} from the public implementation, at most 2e-4")
            assert apart <= 2e-4
    with np.load(folder / "lines_expected.npz") as file:
        raw = lines.xdog(np.ascontiguousarray(file["usm3"][..., ::-1]), float(file["gamma"]))
        assert np.array_equal(raw, file["xdog_raw"]) and np.array_equal(lines.remove_outliers(raw), file["filtered"])
        assert np.array_equal(lines.dilate(file["filtered"]), file["dilated"])


if __name__ == "__main__":
    check(Path(sys.argv[1]))
    write(Path(sys.argv[1]))
