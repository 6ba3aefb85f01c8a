"""GRL-tiny on the CPU through the compiled library: the whole network in one call, without torch's operators.

The library (``vsapisr/networks/cpu/native``) holds kernels for AVX2 and AVX-512 in float32, AVX-512 and AMX in
bfloat16, and says which of them this processor has. It knows the published hyperparameters alone, any number of stages
and blocks. Where it is missing, or cannot be used, :class:`~vsapisr.networks.grl_inference.GRLInference` works with
torch's operators as on other devices.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from vsapisr import libraries
from vsapisr.networks.grl import GRLConfig, bias_of

if TYPE_CHECKING:
    from vsapisr.networks.grl_inference import GRLInference, InferenceBlock

VARIABLE = "VSAPISR_NATIVE"
"""Environment: ``0`` for torch's operators, or the path of a library; read once."""
ABI = 1
"""VSAPISR_ABI of native/network.h, which the structures below repeat."""
LEVELS = {"avx2": 1, "avx512": 2, "avx512_bf16": 3, "amx_bf16": 4}
MAX_THREADS = 256
FLOATS = ctypes.POINTER(ctypes.c_float)
BLOCK_FIELDS = (
    "window_weight", "window_bias", "stripe_weight", "stripe_bias", "anchor_weight", "anchor_bias", "window_scale",
    "gather_scale", "spread_scale", "window_position", "gather_position", "spread_position", "proj_weight", "proj_bias",
    "norm1_weight", "norm1_bias", "fc1_weight", "fc1_bias", "fc2_weight", "fc2_bias", "norm2_weight", "norm2_bias",
)  # fmt: skip


class BlockStruct(ctypes.Structure):
    _fields_ = [*((name, ctypes.c_void_p) for name in BLOCK_FIELDS), ("shifted", ctypes.c_ssize_t)]


class NetworkStruct(ctypes.Structure):
    _fields_ = [
        ("stages", ctypes.c_ssize_t),
        ("depths", ctypes.POINTER(ctypes.c_ssize_t)),
        ("blocks", ctypes.POINTER(BlockStruct)),
        *((name, ctypes.c_void_p) for name in ("first_weight", "first_bias", "norm_start_weight", "norm_start_bias",
                                               "norm_end_weight", "norm_end_bias")),
        ("stage_weight", ctypes.POINTER(ctypes.c_void_p)),
        ("stage_bias", ctypes.POINTER(ctypes.c_void_p)),
        *((f"{name}_{part}", ctypes.c_void_p)
          for name in ("before", "up1", "up2", "hr", "last") for part in ("weight", "bias")),
    ]  # fmt: skip


class ImageStruct(ctypes.Structure):
    _fields_ = [
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("height", ctypes.c_ssize_t),
        ("width", ctypes.c_ssize_t),
        ("workspace", ctypes.c_void_p),
        ("threads", ctypes.c_ssize_t),
    ]


@cache
def load_library() -> ctypes.CDLL | None:
    sizes = map(ctypes.sizeof, (BlockStruct, NetworkStruct, ImageStruct))
    library = libraries.load(__file__, "cpu", VARIABLE, "vsapisr_abi", ABI, *sizes)
    try:
        if library is None or not library.vsapisr_level():
            return None
        library.vsapisr_level_bf16.restype = ctypes.c_int
        library.vsapisr_workspace.restype = ctypes.c_size_t
        library.vsapisr_workspace.argtypes = [ctypes.c_int, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_ssize_t]
        library.vsapisr_upscale.restype = None
        library.vsapisr_upscale.argtypes = [ctypes.c_int, ctypes.POINTER(NetworkStruct), ctypes.POINTER(ImageStruct)]
        return library
    except AttributeError:  # of another version
        return None


def workspace(count: int) -> Tensor:
    """Memory for one call; torch's error when there is not enough is what the engine knows."""
    return torch.empty(count, dtype=torch.uint8)


@cache
def bf16_level() -> int:
    """Of the best kernels in bfloat16, 0 if there are none. Asked once: all networks of a process give the same
    results.
    """
    library = load_library()
    level = library.vsapisr_level_bf16() if library else 0
    return level if level >= LEVELS["avx512_bf16"] else 0


def level_for(dtype: torch.dtype, config: GRLConfig) -> int:
    """Number of the best kernels for a network in that precision; 0 if there are none."""
    library = load_library()
    known = GRLConfig(depths=config.depths, bias_dim=config.bias_dim, drop_path=config.drop_path)
    if library is None or config != known:
        return 0
    if dtype == torch.bfloat16:
        return bf16_level()
    return min(library.vsapisr_level(), LEVELS["avx512"]) if dtype == torch.float32 else 0


def in_units(weight: Tensor, depth: int, dtype: torch.dtype) -> Tensor:
    """In bfloat16, neighbours along dimension ``depth`` as pairs in a new last dimension; float as it is."""
    weight = weight.movedim(depth, -1).to(dtype)
    pair = 2 if dtype == torch.bfloat16 else 1
    return weight.unflatten(-1, (-1, pair)).movedim(-2, depth).contiguous()


def packed_linear(weight: Tensor, dtype: torch.dtype, level: int) -> Tensor:
    """(O, I) -> (O / 8, I in units, 8), or (O, I in units) for AMX."""
    if level == LEVELS["amx_bf16"]:
        return in_units(weight, 1, dtype)
    return in_units(weight.unflatten(0, (-1, 8)).transpose(1, 2), 1, dtype)


def packed_conv(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(O, I, h, w) -> (O / 32, taps, I in units, 32)."""
    return in_units(weight.flatten(2).unflatten(0, (-1, 32)).permute(0, 3, 2, 1), 2, dtype)


def transformed(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """(O, I, 3, 3) -> (O, I, 4, 4) in float32, the weights' side of Winograd's F(2x2, 3x3); in bfloat16 as it is."""
    if dtype == torch.bfloat16:
        return weight
    side = weight.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
    return (side @ weight.double() @ side.T).float()


def packed_last(weight: Tensor, bias: Tensor, dtype: torch.dtype, level: int) -> tuple[Tensor, Tensor]:
    """(3, I, 3, 3) -> (3, 9, I in units), or (9, I in units, 16) for AMX, the rest 0; and the bias to it."""
    weight = weight.flatten(2)
    if level == LEVELS["amx_bf16"]:
        rest = 16 - len(bias)
        return in_units(F.pad(weight.permute(2, 1, 0), (0, rest)), 1, dtype), F.pad(bias, (0, rest))
    return in_units(weight.transpose(1, 2), 2, dtype), bias


class NativeGRL:
    """The network of a :class:`GRLInference` in float32, packed for the library. Calls from several threads may
    overlap.
    """

    def __init__(self, form: GRLInference, dtype: torch.dtype, level: int):
        self.dtype, self.level = dtype, level
        self._kept: list[Tensor] = []
        blocks = [block for stage in form.stages for block in stage]
        self._blocks = (BlockStruct * max(len(blocks), 1))(*(self._block(block) for block in blocks))
        self._depths = (ctypes.c_ssize_t * max(len(form.stages), 1))(*(len(stage) for stage in form.stages))
        convs, tail = list(form.convs), form.tail
        stages = [(self._keep(packed_conv(transformed(conv.weight, dtype), dtype)), self._floats(bias_of(conv)))
                  for conv in convs[1:]]  # fmt: skip
        self._stages = [(ctypes.c_void_p * len(stages))(*column) for column in zip(*stages)]
        first = F.pad(convs[0].weight.flatten(2).permute(2, 1, 0), (0, 0, 0, 1))
        last, last_bias = packed_last(tail.last.weight, tail.last_bias, dtype, level)
        weights = {
            "first_weight": self._floats(first), "first_bias": self._floats(bias_of(convs[0])),
            "norm_start_weight": self._floats(form.norm_start.weight),
            "norm_start_bias": self._floats(form.norm_start.bias),
            "norm_end_weight": self._floats(form.norm_end.weight), "norm_end_bias": self._floats(form.norm_end.bias),
            "last_weight": self._keep(last), "last_bias": self._floats(last_bias),
        }  # fmt: skip
        for name, weight, bias in (
            ("before", tail.before.weight, bias_of(tail.before)),
            ("hr", transformed(tail.hr.weight, dtype), bias_of(tail.hr)),
            ("up1", tail.up1_weight, tail.up1_bias), ("up2", tail.up2_weight, tail.up2_bias),
        ):  # fmt: skip
            weights |= {f"{name}_weight": self._keep(packed_conv(weight, dtype)), f"{name}_bias": self._floats(bias)}
        self._network = NetworkStruct(
            stages=len(form.stages), depths=self._depths, blocks=self._blocks,
            stage_weight=self._stages[0], stage_bias=self._stages[1], **weights,
        )  # fmt: skip

    @classmethod
    def of(cls, form: GRLInference, dtype: torch.dtype) -> NativeGRL | None:
        """For a form still in float32, which will compute in ``dtype``; None where the library cannot be used for
        it.
        """
        level = level_for(dtype, form.config)
        return cls(form, dtype, level) if level else None

    def _keep(self, tensor: Tensor) -> int:
        """Address of a tensor that lives as long as this object."""
        tensor = tensor.detach().contiguous().clone()
        self._kept.append(tensor)
        return tensor.data_ptr()

    def _floats(self, tensor: Tensor) -> int:
        return self._keep(tensor.float())

    def _block(self, block: InferenceBlock) -> BlockStruct:
        attention, dtype = block.attn, self.dtype
        heads = attention.heads_stripe
        spread, gather = attention.stripe_scale.split(heads)
        fields = {
            name: self._keep(packed_linear(weight, dtype, self.level))
            for name, weight in (
                ("window_weight", attention.window_weight), ("stripe_weight", attention.stripe_weight),
                ("anchor_weight", attention.anchor_weight), ("proj_weight", attention.proj_weight),
                ("fc1_weight", block.fc1.weight), ("fc2_weight", block.fc2.weight),
            )
        }  # fmt: skip
        biases = {
            "window_bias": attention.window_bias, "stripe_bias": attention.stripe_bias,
            "anchor_bias": attention.anchor_bias,
            "proj_bias": attention.proj_bias, "fc1_bias": block.fc1.bias, "fc2_bias": block.fc2.bias,
        }  # fmt: skip
        if self.level == LEVELS["amx_bf16"]:
            biases = {name: bias[:, None].expand(-1, 16) for name, bias in biases.items()}
        vectors = {
            "norm1_weight": block.norm1.weight, "norm1_bias": block.norm1.bias,
            "norm2_weight": block.norm2.weight, "norm2_bias": block.norm2.bias,
            "window_scale": attention.window_scale[: attention.heads_window], "spread_scale": spread,
            "gather_scale": gather,
        }  # fmt: skip
        tables = {name: getattr(attention, name).transpose(-2, -1)
                  for name in ("window_position", "gather_position", "spread_position")}  # fmt: skip
        fields |= {name: self._floats(value) for name, value in (biases | vectors | tables).items()}
        return BlockStruct(shifted=attention.shifted, **fields)

    def __deepcopy__(self, memo: dict) -> NativeGRL:
        return self  # nothing in it changes, and addresses cannot be copied

    def __call__(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) float32 without the mean, H and W multiples of 8 -> (1, 3, 4H, 4W) float32 with it."""
        library = load_library()
        assert library is not None  # of() asked for it
        image = image.contiguous()
        height, width = image.shape[-2:]
        threads = min(torch.get_num_threads(), MAX_THREADS)
        room = workspace(library.vsapisr_workspace(self.level, height, width, threads))
        out = image.new_empty(1, 3, 4 * height, 4 * width)
        job = ImageStruct(image.data_ptr(), out.data_ptr(), height, width, room.data_ptr(), threads)
        library.vsapisr_upscale(self.level, ctypes.byref(self._network), ctypes.byref(job))
        return out
