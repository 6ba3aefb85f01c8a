"""Lists and dicts of modules that say, to a type checker alone, which modules they hold; they are torch's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import nn

__all__ = ["Listed", "Named"]

if TYPE_CHECKING:

    class Listed[M: nn.Module](nn.ModuleList):
        def __iter__(self) -> Iterator[M]: ...
        def __getitem__(self, index: int) -> M: ...  # type: ignore[override]

    class Named[M: nn.Module](nn.ModuleDict):
        def __getitem__(self, key: str) -> M: ...

else:
    Listed, Named = nn.ModuleList, nn.ModuleDict
