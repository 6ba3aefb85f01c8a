"""Weight files that lie or want to run code, in every style that a reader of them may meet."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

__all__ = ["STYLES", "hostile"]

ATTENTION = "layers.0.blocks.0.attn."


class Runs:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, marker: Path, way: int):
        self.marker, self.way = marker, way

    def __reduce__(self) -> tuple[Any, ...]:
        import builtins
        import os
        import subprocess

        program = f"open({str(self.marker)!r}, 'w').close()"
        ways = (
            (os.system, (f"touch '{self.marker}'",)),
            (builtins.exec, (program,)),
            (builtins.eval, (program,)),
            (subprocess.check_call, (["touch", str(self.marker)],)),
            (Path.touch, (self.marker,)),
            (os.makedirs, (str(self.marker),)),
        )
        return ways[self.way % len(ways)]


def network(small: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(small)


def stored(content: object, old: bool = False) -> bytes:
    data = io.BytesIO()
    torch.save(content, data, _use_new_zipfile_serialization=not old)
    return data.getvalue()


def running(rng: random.Random, marker: Path, small: Path) -> bytes:
    """A pickle that runs code: alone, as PyTorch's own file, beside or inside good weights."""
    evil, state = Runs(marker, rng.randrange(6)), network(small)
    content: Any = rng.choice([evil, {"params": evil}, {"params": state, "note": evil}, {**state, "x": evil}, [evil]])
    if rng.random() < 0.4:
        return pickle.dumps(content, rng.randint(0, 5))
    return stored(content, rng.random() < 0.5)


def instructions(rng: random.Random, marker: Path, small: Path) -> bytes:
    """Pickles written by hand: old instructions, sizes that are not there, recursion without end."""
    command = f"touch {marker}".encode()
    choices = [
        b"cposix\nsystem\n(V" + command + b"\ntR.",
        b"(S'" + command + b"'\niposix\nsystem\n.",
        b"\x80\x02(cposix\nsystem\nV" + command + b"\no.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([min(255, len(command))]) + command[:255] + b"\x85R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02ctorch\nload\n(V" + str(marker).encode() + b"\ntR.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"\x01.",
        b"\x80\x02" + b"(" * 100000 + b"." + b"t" * 100000,
        b"\x80\x02]" + b"]a" * 50000 + b".",
        b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b".",
        b"\x80\x02}(X\x01\x00\x00\x00ah\x00s.",
        b"\x80\x02h\x63.",
        b"\x80\x02cbuiltins\ngetattr\n(cos\nX\x06\x00\x00\x00systemtR.",
        b"\x80\x02Q.", b"\x80\x02P1\n.", b"\x80\x09.", b"\x80", b"\x80\x02.", b"\x80\x02a.", b"\x80\x02R.",
        b"\x80\x02K\x01K\x02R.", b"\x80\x02Vabc\nb.", b"\x80\x02I99999999999999999999999\n.", b"\x80\x02Inot\n.",
    ]  # fmt: skip
    data = rng.choice(choices)
    if rng.random() < 0.4:  # inside PyTorch's archive
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
            archive.writestr("archive/data.pkl", data)
            archive.writestr("archive/version", "3\n")
            archive.writestr("archive/byteorder", rng.choice(["little", "big", "x"]))
        return packed.getvalue()
    return data


def sizes(rng: random.Random, marker: Path, small: Path) -> bytes:
    """Weights in good form whose shapes or names ask for a network without bounds."""
    state = network(small)
    names = sorted(state)
    name = rng.choice([n for n in names if state[n].ndim] + ["conv_first.weight", ATTENTION + "qkv.body.weight"])
    match rng.randrange(8):
        case 0:  # no bytes for many values
            shape = state[name].shape
            state[name] = torch.zeros(1, dtype=rng.choice([torch.float32, torch.float16])).expand(
                rng.choice([10**5, 10**7, 10**10]), *shape[1:]
            )
        case 1:
            state[f"layers.{rng.choice([50, 5000, 10**6, 10**9, 10**30])}.blocks.0.attn.x"] = torch.zeros(1)
        case 2:
            state[f"layers.0.blocks.{rng.choice([50, 5000, 10**6, 10**9])}.attn.x"] = torch.zeros(1)
        case 3:
            state[name] = torch.zeros((0, *state[name].shape[1:]))
        case 4:
            state[name] = torch.full_like(state[name], rng.choice([float("nan"), float("inf"), -float("inf"), 1e38]))
        case 5:
            kind = rng.choice([torch.int64, torch.complex64, torch.bool, torch.uint8, torch.float64, torch.bfloat16])
            state[name] = torch.zeros(state[name].shape).to(kind)
        case 6:
            state[name] = state[name].to_sparse() if rng.random() < 0.5 else state[name].reshape(-1)
        case 7:
            state = {rng.choice(["a\nb", "\x1b[31m", "x" * 5000, "ä", ""]) + k: v for k, v in state.items()}
    kept = [n for n in sorted(state) if rng.random() < 0.97]
    content = {n: state[n] for n in kept}
    return stored(rng.choice([content, {"params": content}, {"ema": content, "config": "{" * 999}]), rng.random() < 0.3)


def headers(rng: random.Random, marker: Path, small: Path) -> bytes:
    """safetensors whose header lies: lengths, offsets that overlap or lie outside, shapes, types, JSON."""
    data = small.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    one = header[rng.choice(names)]
    match rng.randrange(9):
        case 0:
            return struct.pack("<Q", rng.choice([0, 1, 2**31, 2**40, 2**63, 2**64 - 1])) + data[8:]
        case 1:
            one["data_offsets"] = rng.choice([[0, 2**40], [-8, 0], [0, 0], [8, 4], [2**63, 2**63 + 4], ["a", 1], []])
        case 2:
            one["shape"] = rng.choice([[2**40], [2**32, 2**32], [-1], [0], [[]], "x", [1] * 5000, [2**64]])
        case 3:
            one["dtype"] = rng.choice(["F128", "", 5, None, "F8_E4M3", "I64", "BOOL", "C64"])
        case 4:
            header["__metadata__"] = rng.choice([{"a": 1}, [], "x", {"vsapisr": "[" * 5000}, {"window": "nan"}, None])
        case 5:
            header = rng.choice([[], 1, "x", {}, {"a": {}}, {"a": 1}])
        case 6:
            return struct.pack("<Q", 200000) + b'{"a":' + b"[" * 199995
        case 7:
            header[rng.choice(names)] = header[rng.choice(names)]
        case 8:
            header = {f"{name}\x00\n": value for name, value in header.items() if name != "__metadata__"}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def program(rng: random.Random, marker: Path, small: Path) -> bytes:
    """TorchScript, a whole module, and archives that are something else or swell."""
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match rng.randrange(4):
            case 0:
                torch.jit.save(torch.jit.script(nn.Conv2d(3, 3, 1)), data)
            case 1:
                torch.save(nn.Conv2d(3, 3, 1), data)
            case 2:
                torch.save(nn.Sequential(nn.ReLU()), data, _use_new_zipfile_serialization=False)
            case 3:
                with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    for name in rng.choice([["a/data.pkl"], ["../../data.pkl"], ["a/data/0"], ["x.pth"], ["data.pkl"]]):
                        archive.writestr(name, bytes(rng.choice([10, 10**7])))
                    archive.writestr("a/version", "3")
    return data.getvalue()


def broken(rng: random.Random, marker: Path, small: Path) -> bytes:
    """A good file of one of the usual kinds, damaged."""
    from .damage import damaged

    state = network(small)
    makers = (
        lambda: small.read_bytes(),
        lambda: save(state),
        lambda: stored({"params": state}),
        lambda: stored(state, old=True),
        lambda: stored({"ema": state, "iteration": 3, "config": "{}", "metadata": {}, "validation": {}, "best": {}}),
    )
    return damaged(rng.choice(makers)(), rng)


STYLES = {
    "runs code": running,
    "pickle by hand": instructions,
    "sizes": sizes,
    "headers": headers,
    "programs and archives": program,
    "damaged": broken,
}


def hostile(rng: random.Random, folder: Path, small: Path, marker: Path) -> tuple[str, Path]:
    """(style, file) of one hostile weight file."""
    style = rng.choice(sorted(STYLES))
    path = folder / f"hostile{rng.choice(['.pth', '.safetensors', '.pt', '.ckpt', '.bin', ''])}"
    path.write_bytes(STYLES[style](rng, marker, small))
    return style, path
