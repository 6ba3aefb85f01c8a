"""The network and a picture as one file, for ``native/kernels.c`` to run on another system."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import torch
from torch import Tensor

from vsapisr.networks.cpu.network import LEVELS, ImageStruct, NativeGRL
from vsapisr.networks.grl import GRL
from vsapisr.networks.grl_inference import GRLInference
from vsapisr.weights import files as weights

__all__ = ["network", "picture", "write_job"]

HEIGHT, WIDTH, THREADS = 24, 40, 3
ALIGNED = 64


def network() -> GRL:
    """The shipped model, readable."""
    return weights.load(weights.find("default")).eval()


def picture() -> Tensor:
    """(1, 3, H, W) in [0, 1], the same everywhere."""
    return torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


class Memory:
    """Regions of this process's memory one behind the other; addresses in them become offsets."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.offsets: dict[int, int] = {}

    def add(self, address: int, size: int) -> int:
        self.bytes += bytes(-len(self.bytes) % ALIGNED)
        offset = self.offsets[address] = len(self.bytes)
        self.bytes += ctypes.string_at(address, size)
        return offset

    def structure(self, structure: ctypes.Structure | ctypes.Array) -> int:
        return self.add(ctypes.addressof(structure), ctypes.sizeof(structure))

    def relocate(self, offset: int, size: int) -> list[int]:
        """Where a structure has addresses of regions, with offsets put into their places."""
        places = []
        for place in range(offset, offset + size, 8):
            (value,) = struct.unpack_from("<q", self.bytes, place)
            if value in self.offsets:
                struct.pack_into("<q", self.bytes, place, self.offsets[value])
                places.append(place)
        return places


def write_job(path: Path, level: str) -> None:
    """For the kernels of that name in LEVELS; the format is told in ``native/kernels.c``."""
    grl = network()
    dtype = torch.bfloat16 if "bf16" in level else torch.float32
    packed = NativeGRL(GRLInference(grl), dtype, LEVELS[level])
    image = (picture() - grl.mean).contiguous()
    out = torch.zeros(1, 3, 4 * HEIGHT, 4 * WIDTH)
    job = ImageStruct(image.data_ptr(), out.data_ptr(), HEIGHT, WIDTH, None, THREADS)
    memory = Memory()
    for tensor in (*packed._kept, image, out):
        memory.add(tensor.data_ptr(), tensor.numel() * tensor.element_size())
    structures = [packed._depths, packed._blocks, *packed._stages, packed._network, job]
    offsets = [memory.structure(one) for one in structures]
    places = [p for one, at in zip(structures, offsets) for p in memory.relocate(at, ctypes.sizeof(one))]
    numbers = [len(memory.bytes), len(places), *offsets[-2:], memory.offsets[out.data_ptr()], out.numel() * 4]
    path.write_bytes(struct.pack(f"<{len(numbers) + len(places)}q", *numbers, *places) + bytes(memory.bytes))
