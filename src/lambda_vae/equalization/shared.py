"""The exchange of sigma and lambda between the processes of one training at the end of an epoch."""

import time
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["Group", "gathered", "strangers"]

#: Means of sigma differ if it is by more than this fraction and by more than so many standard errors.
_SHARE, _ERRORS = 0.1, 8.0


class Group:
    """The processes that train one model: a group of torch.distributed, which copies of the model share."""

    def __init__(self, group: "ProcessGroup | None" = None) -> None:
        self.group = group

    @property
    def exists(self) -> bool:
        """Whether torch.distributed runs, so that there may be other processes."""
        return dist.is_available() and dist.is_initialized()

    @property
    def size(self) -> int:
        """The number of processes; 1 if torch.distributed does not run, or this process is not in the group."""
        return max(1, dist.get_world_size(self.group)) if self.exists else 1

    def share(self, sums: Tensor) -> Tensor:
        """Return an equal share of the joint sums, so that the checkpoint of one process is valid for all."""
        if self.size == 1:
            return sums
        joint = sums.clone()
        dist.all_reduce(joint, group=self.group)
        let_go()
        return joint / self.size

    def __deepcopy__(self, memo: dict[int, Any]) -> "Group":
        return self

    def __reduce__(self) -> tuple[type["Group"], tuple[()]]:
        return Group, ()  # another process has other groups


def gathered(values: Tensor, group: Group) -> Tensor:
    """Return the values of all processes of the group, stacked along a new first axis."""
    parts = [torch.empty_like(values) for _ in range(group.size)]
    dist.all_gather(parts, values.contiguous(), group=group.group)
    let_go()
    return torch.stack(parts)


def let_go() -> None:
    """Release Python's lock to gloo's thread, so that it can free the tensors of a finished collective.

    If the process group is destroyed before, it waits for that thread, with the lock, for ever (torch 2.13.0).
    """
    time.sleep(0.01)


def strangers(own: Float[Tensor, "P 3 D"]) -> str | None:
    """Return a sentence if sigma differs significantly between two processes; else None."""
    mean = own[:, 0] / own[:, 2]
    variance = (own[:, 1] / own[:, 2] - mean.square()).clamp(min=0.0)
    error = (variance / own[:, 2]).sqrt()
    high, low = mean.nan_to_num(-torch.inf).argmax(0), mean.nan_to_num(torch.inf).argmin(0)
    columns = torch.arange(own.shape[2], device=own.device)
    gap = mean[high, columns] - mean[low, columns]
    spread = (error[high, columns].square() + error[low, columns].square()).sqrt()
    differ = (gap > _SHARE * mean[high, columns]) & (gap > _ERRORS * spread)
    if not bool(differ.any()):
        return None
    one = int(torch.where(differ, gap, -1.0).argmax())
    a, b = int(low[one]), int(high[one])
    return (
        f"sigma of dimension {one} was {float(mean[a, one]):.3g} in process {a} and {float(mean[b, one]):.3g} in "
        f"process {b}, and both get the lambda of their mean; if these are two models and not one, give each "
        "VarianceEqualizer(..., process_group=torch.distributed.new_subgroups(1)[0])"
    )
