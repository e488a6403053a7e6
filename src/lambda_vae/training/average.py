"""A moving average of the weights, which the model holds while it is measured."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """An exponential moving average of weights; inside a `with` block the model holds it in their place.

    The decay is at most (1 + n) / (10 + n) after n steps, so that the weights of the beginning are soon forgotten.

    Args:
        weights: What is averaged, in an order that stays.
        decay: Of the average.

    Source:
        Polyak and Juditsky 1992, doi:10.1137/0330046; the rule for the first steps is TensorFlow's.

    Example:
        >>> weight = nn.Parameter(torch.zeros(1))
        >>> average = WeightAverage([weight], decay=0.9)
        >>> with torch.no_grad():
        ...     _ = weight.fill_(1.0)
        >>> average.update()
        >>> with average:
        ...     inside = weight.item()
        >>> round(inside, 4), weight.item()
        (0.8182, 1.0)
    """

    def __init__(self, weights: Iterable[nn.Parameter], decay: float) -> None:
        self._weights = list(weights)
        self._means = [weight.detach().clone() for weight in self._weights]
        self._decay, self._steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the weights after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._means, [weight.detach() for weight in self._weights], 1.0 - decay)

    def __enter__(self) -> "WeightAverage":
        """Put the average into the model."""
        self._swap()
        return self

    def __exit__(self, *error: object) -> None:
        """Put the weights back."""
        self._swap()

    def _swap(self) -> None:
        for i, weight in enumerate(self._weights):
            weight.data, self._means[i] = self._means[i], weight.data

    def state_dict(self) -> dict[str, Tensor]:
        """Return the average and the count of steps, for a checkpoint."""
        return {"steps": torch.tensor(self._steps), **{str(i): mean for i, mean in enumerate(self._means)}}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state from `state_dict`."""
        self._steps = int(state["steps"])
        for i, mean in enumerate(self._means):
            mean.copy_(state[str(i)])
