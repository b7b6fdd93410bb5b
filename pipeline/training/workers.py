"""Who computes the shards of a batch: this process alone, with threads if it has cores for them, or several processes.

On the CPU all of them add in shard order, so that the sums are the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


class Workers:
    """This process alone; each of its threads has one OpenMP thread."""

    first = True
    """Whether this process is the one that writes and speaks."""

    def __init__(self, threads: int = 1) -> None:
        self.pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self.side_by_side = threads > 1

    def share(self, shards: int) -> range:
        """The shards of this process, of all `shards`."""
        return range(shards)

    def map(self, work: Callable[[int], Tensor], shards: Iterable[int]) -> list[Tensor]:
        """`work` of each of the shards of this process."""
        return list((self.pool.map if self.side_by_side else map)(work, shards))

    def total(self, parts: list[Tensor]) -> Tensor:
        """The sum over all shards, of which `parts` are those of this process."""
        return reduce(torch.add, parts)

    def any(self, value: bool) -> bool:
        """Whether it is true of any process."""
        return value

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives the first process."""
        return make()

    def start_alike(self, model: nn.Module) -> None:
        """Give all processes the first one's weights."""

    def leave(self) -> None:
        """Wait for the others, and compute no more."""


class Processes(Workers):
    """Those of torch.distributed's default group, of equal parts of the shards each; on GPUs they have one each.

    ConnectionError from whatever waits for the others, once one of them has ended.
    """

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads)
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self.first = self.rank == 0

    def share(self, shards: int) -> range:
        """ValueError if the processes cannot have equal parts."""
        if shards % self.count:
            raise ValueError(f"{shards} shards for {self.count} processes: must be a multiple")
        each = shards // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def total(self, parts: list[Tensor]) -> Tensor:
        """On a CPU in shard order; on GPUs in the order that is fastest, which no two numbers of them share."""
        with _waiting():
            if parts[0].is_cuda:
                total = super().total(parts).clone()
                dist.all_reduce(total)
                return total
            own = torch.stack(parts)
            gathered = [torch.empty_like(own) for _ in range(self.count)]
            dist.all_gather(gathered, own)
        return super().total([part for parts in gathered for part in parts])

    def any(self, value: bool) -> bool:
        flag = torch.tensor(float(value))
        with _waiting():
            dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag)

    def from_first(self, make: Callable[[], T]) -> T:
        objects = [make() if self.first else None]
        with _waiting():
            dist.broadcast_object_list(objects, device=torch.device("cpu"))
        return objects[0]  # type: ignore[return-value]

    def start_alike(self, model: nn.Module) -> None:
        with _waiting():
            for values in model.state_dict().values():
                dist.broadcast(values, 0)

    def leave(self) -> None:
        self.any(False)
        dist.destroy_process_group()


@contextmanager
def _waiting() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ConnectionError(
            f"another process of this training has ended, or did not answer ({reason}); the same command goes on from "
            "the last checkpoint"
        ) from error
