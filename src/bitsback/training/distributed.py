"""Several processes that train one model together: what ``torchrun`` starts, seen from the training loop.

Each process draws its share of every batch, and gradients are averaged (synchronous data parallelism), so all hold the
same weights at any time. The first one measures, writes checkpoints and decides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """This process's place among ``size`` of them."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def average(self, tensors: list[Tensor]) -> list[Tensor]:
        """The mean of each tensor over the processes."""
        if self.size == 1:
            return tensors
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        return [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)]

    def agree(self, *values: float) -> tuple[float, ...]:
        """What the first process says, for all of them."""
        if self.size == 1:
            return values
        said = torch.tensor(values, dtype=torch.float64)
        if dist.get_backend() == "nccl":
            said = said.cuda()
        dist.broadcast(said, 0)
        return tuple(said.tolist())

    def share(self, value: Any) -> Any:
        """The first process's value, for all of them."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0)
        return values[0]


ALONE = Group()


def join(device: str = "cpu") -> Group:
    """The group that ``torchrun`` put this process into; :data:`ALONE` without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Group(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Say goodbye, so that the others do not wait."""
    if dist.is_initialized():
        dist.destroy_process_group()
