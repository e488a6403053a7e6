"""Several processes that measure one model on the same data, each its share; and failures that all of them hear of."""

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from lambda_vae.equalization.shared import let_go
from lambda_vae.errors import InputError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["ALONE", "Shares"]


class Shares:
    """The processes of a group of torch.distributed, which divide the examples among themselves.

    As a context it keeps the processes together: every block ends with an exchange, so that one that fails tells the
    others, which may be waiting for its sums.

    Args:
        group: Its processes call the same functions; None is this process alone.
    """

    def __init__(self, group: "ProcessGroup | None" = None) -> None:
        self.group = group
        self.size = 1 if group is None else dist.get_world_size(group)
        self.rank = 0 if group is None else dist.get_rank(group)
        self._over = False
        if self.rank < 0:
            raise InputError("this process is not in process_group; call diagnose on the group's processes alone")

    def mine(self, part: int) -> bool:
        """Return whether this process counts a part of the data."""
        return part % self.size == self.rank

    def looks(self, part: int) -> bool:
        """Return whether this process goes through a part; all do through the first, which tells them the shapes."""
        return part == 0 or self.mine(part)

    def exchange(self, own: Any = None, failure: BaseException | None = None) -> list[Any]:  # noqa: ANN401 - anything that pickles
        """Return what every process hands in, by its number.

        Raises:
            InputError: A process fails of bad input.
            RuntimeError: Or of anything else.
        """
        if self.size == 1:
            return [own]
        said = None if failure is None else (isinstance(failure, InputError), type(failure).__name__, str(failure))
        everyone: list[tuple[Any, tuple[bool, str, str] | None]] = [(None, None)] * self.size
        dist.all_gather_object(everyone, (own, said), group=self.group)
        let_go()
        failed = [(number, one[1]) for number, one in enumerate(everyone) if one[1] is not None]
        if failed and failure is None:
            self._over = True
            number, (bad_input, kind, text) = failed[0]
            if bad_input:
                raise InputError(f"process {number}: {text}")
            raise RuntimeError(f"process {number} failed: {kind}: {text}")
        return [one[0] for one in everyone]

    def agree(self, **facts: object) -> None:
        """Raise unless all processes hand in equal facts, by name.

        Raises:
            InputError: On every process; the message has the first that differs.
        """
        everyone = self.exchange(facts)
        for name in facts:
            odd = [number for number, other in enumerate(everyone) if other[name] != everyone[0][name]]
            if odd:
                self._over = True
                raise InputError(_unlike(odd[0], name))

    def close(self, **readings: Tensor) -> None:
        """Raise unless these numbers, by what they come from, are those of process 0 to a thousandth.

        Raises:
            InputError: On every process.
        """
        everyone = self.exchange({name: value.detach().double().cpu() for name, value in readings.items()})
        for name in readings:
            first: Tensor = everyone[0][name]
            for number, other in enumerate(everyone):
                one: Tensor = other[name]
                alike = one.shape == first.shape and torch.allclose(
                    one, first, rtol=1e-3, atol=1e-3 * float(first.nan_to_num().abs().mean()), equal_nan=True
                )
                if not alike:
                    self._over = True
                    raise InputError(_unlike(number, name))

    def total(self, own: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.size == 1:
            return own
        joint = own.clone()
        dist.all_reduce(joint, group=self.group)
        let_go()
        return joint

    def __enter__(self) -> "Shares":
        return self

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> None:
        # An interrupt waits for nobody, and what every process has heard of needs no telling.
        if not self._over and (failure is None or isinstance(failure, Exception)):
            self._over = True
            self.exchange(failure=failure)


def _unlike(number: int, name: str) -> str:
    return (
        f"process {number} was given another {name} than process 0; each takes its share of the same examples, so give "
        "all processes the same model, options and data: all of the data, in one order (no shuffle, no "
        "DistributedSampler)"
    )


ALONE = Shares()
