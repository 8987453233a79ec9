"""Processes that train one model together, as `torchrun` starts them: data parallel, every process holds all weights.

Belongs here: who one is, and the few things that the processes tell each other. Does not belong here: what is trained
(`loop`), files (`common`: only the first process writes any).

The processes of a group take different micro-batches of the same step and add up their gradients, so the objective is
that of one process; only the order of sums differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn

Item = TypeVar("Item")


@dataclass(frozen=True)
class Group:
    """This process among those that train together; alone by default."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """The one that writes files and talks to people."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of what all of them are given."""
        return items[self.rank :: self.world]

    def micro_rows(self, rows: int, batch: int) -> int:
        """Rows a forward, at most `rows`, so that a batch is enough for all processes."""
        return max(1, min(rows, -(-batch // self.world)))

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient with the sum over the processes; none counts as zero."""
        if self.world == 1:
            return
        pending = []
        for parameter in parameters:
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                pending.append(distributed.all_reduce(parameter.grad, async_op=True))
        for work in pending:
            assert work is not None  # None is what processes outside the group get
            work.wait()

    def total(self, value: float) -> float:
        """Sum of a number over the processes."""
        return self._reduced(value, distributed.ReduceOp.SUM)

    def largest(self, value: float) -> float:
        """Greatest of a number over the processes."""
        return self._reduced(value, distributed.ReduceOp.MAX)

    def _reduced(self, value: float, by: distributed.ReduceOp.RedOpType) -> float:
        if self.world == 1:
            return value
        held = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(held, by)
        return float(held)

    def of_first(self, value: Item) -> Item:
        """What the first process gives; what others give is not looked at."""
        if self.world == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held, src=0)
        return held[0]

    def wait(self) -> None:
        """Return when all processes are here."""
        self.total(0.0)


ALONE = Group()


def join() -> Group:
    """The group that `torchrun` started this process in; `ALONE` where there is none."""
    if not distributed.is_torchelastic_launched():
        return ALONE
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(distributed.get_node_local_rank())
    if not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
    return Group(distributed.get_rank(), distributed.get_world_size())
