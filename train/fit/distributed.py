"""The processes of a run: one, or several under torchrun, which then share each batch and hold the same weights."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vsapisr.errors import DeviceError

__all__ = ["Processes"]


class Processes:
    """Rank, number and device of this process, and what the processes tell each other.

    Gradients are averaged explicitly after the backward passes, not by hooks of a wrapper: the sums have one fixed
    order, so that a resumed run adds up the same numbers, and the losses may call the networks as often as they like in
    between.
    """

    def __init__(self, device: str = "auto"):
        """``device`` is "auto", "cpu" or "cuda". Under torchrun the group is formed here, over NCCL or gloo.

        Raises:
            DeviceError: CUDA is asked for and not there.
        """
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if device == "cuda" and not torch.cuda.is_available():
            raise DeviceError("device: 'cuda' is not accepted: PyTorch finds no CUDA device here; accepted: cpu, auto")
        self.device = torch.device("cpu")
        if device != "cpu" and torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
        if self.world > 1:
            dist.init_process_group("gloo" if self.device.type == "cpu" else "nccl")

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the processes of a tensor of one shape in each."""
        if self.world > 1:
            dist.all_reduce(values)
            values /= self.world
        return values

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes the mean of those of all processes, in one message."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.world == 1 or not gradients:
            return
        together = self.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        for gradient, mean in zip(gradients, together.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(mean.view_as(gradient))

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """Of each flag, whether a process has it set."""
        if self.world == 1:
            return flags
        together = torch.tensor(flags, dtype=torch.int32, device=self.device)
        dist.all_reduce(together, op=dist.ReduceOp.MAX)
        return tuple(bool(flag) for flag in together.tolist())

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, by rank; the same list in all of them."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def close(self) -> None:
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()
