"""What an equalizer has seen of sigma: sums over the examples since the last refresh, also from within torch.func."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["BelowTransforms", "Observed", "below_transforms", "in_backward"]

#: So many steps are added together.
_WAIT = 32


class Observed:
    """Sums of std, mu and mu^2 in each dimension and the number of examples in every column; no step waits for it.

    In double: a long epoch adds small numbers to a large one. A plain object, which copies of a module for one step,
    such as DataParallel's, share.

    Args:
        latent_dim: D.
    """

    def __init__(self, latent_dim: int) -> None:
        # A model may be made on the meta device; what it has seen is real from the beginning.
        self._sums = torch.zeros(4, latent_dim, dtype=torch.float64, device="cpu")
        #: Sums of std over a step and its examples, to be added together; each operation of a step costs it time.
        self._waiting: list[tuple[Tensor, int]] = []
        #: This process's own sums of std and std^2 and its examples, in this epoch; kept beside other processes.
        self.own = torch.zeros(3, latent_dim, dtype=torch.float64, device="cpu")
        #: The number of examples when the last epoch ended.
        self.before = 0.0
        #: The steps of this epoch; code that is compiled does not count them.
        self.steps = 0
        #: Whether something was observed since the last epoch ended, and since it was last shared among processes.
        self.pending = self.unshared = False

    @property
    def sums(self) -> Float[Tensor, "4 D"]:
        """Sums of std, mu, mu^2, and the number of examples."""
        self._fold()
        return self._sums

    @sums.setter
    def sums(self, sums: Float[Tensor, "4 D"]) -> None:
        self._sums, self._waiting = sums, []

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            totals = torch.stack([total.to(self._sums) for total, _ in waiting])
            counts = torch.tensor([count for _, count in waiting]).to(self._sums)
            finite = totals < math.inf
            for total in torch.where(finite, totals, 0.0):  # one by one: rounded alike wherever a checkpoint cuts
                self._sums[0].add_(total)
            self._sums[3].add_((finite * counts[:, None]).sum(0))

    def add(
        self,
        std: Float[Tensor, "N D"],
        mu: Float[Tensor, "N D"] | None,
        mask: Bool[Tensor, " N"] | None,
        beside: bool,
    ) -> None:
        """Add examples; a dimension with one that is not finite is left out, as where a gradient scaler skips it."""
        dtype, device = self._sums.dtype, self._sums.device
        if mask is not None:
            # Chosen, not multiplied: what is masked may be infinite or no number.
            std = torch.where(mask[:, None], std, 0.0)
            mu = None if mu is None else torch.where(mask[:, None], mu, 0.0)
        total = std.sum(0, dtype=dtype).to(device)
        if mask is None and mu is None and not beside and not torch.compiler.is_compiling():
            self._waiting.append((total, len(std)))
            if len(self._waiting) >= _WAIT:
                self._fold()
            return
        count = len(std) if mask is None else mask.sum().to(device)
        finite = total < math.inf  # and a number
        if mu is not None:
            moments = torch.stack((mu.sum(0, dtype=dtype), mu.to(dtype).square().sum(0))).to(device)
            finite = finite & moments.isfinite().all(0)
            self._sums[1:3].add_(torch.where(finite, moments, 0.0))
        self._sums[0].add_(torch.where(finite, total, 0.0))
        self._sums[3].add_(finite * count)
        if beside:
            self.own[0] += torch.where(finite, total, 0.0)
            self.own[1] += torch.where(finite, std.to(dtype).square().sum(0).to(device), 0.0)
            self.own[2] += finite * count

    def move(self, device: torch.device) -> None:
        """Go to a device, in double, but for MPS, which has none."""
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.sums, self.own = self.sums.to(device, dtype), self.own.to(device, dtype)

    def end_epoch(self) -> bool:
        """Begin the next epoch, and return whether anything was observed in the one that is over."""
        count = float(self.sums[3].max())
        observed, self.before = count > self.before, count
        self.own, self.steps = torch.zeros_like(self.own), 0
        self.pending = self.unshared = False
        return observed

    def forget(self) -> None:
        """Begin anew after a refresh."""
        self.sums, self.before = torch.zeros_like(self.sums), 0.0

    def load(self, sums: Float[Tensor, "4 D"], steps: int = 0) -> None:
        """Go on from the sums of a checkpoint."""
        self.sums = sums.detach().to(self.sums, copy=True)
        # Which of them were seen in the unfinished epoch is not known: none is missed for that reason.
        self.before, self.own, self.steps = 0.0, torch.zeros_like(self.own), steps
        self.pending = self.unshared = False


class BelowTransforms(torch.autograd.Function):
    """Hands tensors to an equalizer as they are beneath grad, jvp and vmap; each example of a vmap is one.

    A function under torch.func may not write into a tensor from outside; what a Function does in its forward is done
    beneath all transforms, and `vmap` below says what that is for a batch.
    """

    @staticmethod
    def forward(equalizer: Any, std: Tensor, mu: Tensor | None, mask: Tensor | None) -> Tensor:  # noqa: ANN401
        """Count the examples."""
        equalizer._count(std, mu, mask)
        return std.new_zeros(())

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:  # noqa: ANN401 - torch's
        """Nothing is kept, for nothing has a gradient."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # noqa: ANN401 - torch's
        """Return no gradient."""
        return None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # noqa: ANN401 - torch's
        """Return no tangent."""
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, equalizer: Any, *given: Tensor | None) -> tuple[Tensor, None]:  # noqa: ANN401
        """Count the examples of a batch beneath it."""
        rows = []
        for one, dim in zip(given, in_dims[1:], strict=True):
            if one is not None:
                one = one.movedim(dim, 0) if dim is not None else one.expand(info.batch_size, *one.shape)
            rows.append(None if one is None else one.flatten(0, 1))
        return BelowTransforms.apply(equalizer, *rows), None  # type: ignore[no-untyped-call]


def below_transforms() -> bool:
    """Whether this runs within grad, jvp or vmap of torch.func."""
    return _TRANSFORMS()


def in_backward() -> bool:
    """Whether this runs within a backward pass, which computes something anew."""
    return not torch.compiler.is_compiling() and _TASK() != -1


# Neither question has a public answer in torch; a torch that knows them no more is taken to be outside of both.
_TRANSFORMS: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
_TASK: Callable[[], int] = getattr(torch._C, "_current_graph_task_id", lambda: -1)
