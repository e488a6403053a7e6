"""The learning rate as a pure function of the position in training."""

from dataclasses import dataclass
from math import cos, pi

from lambda_vae.errors import InputError

__all__ = ["SHAPES", "LearningRate"]

#: What it may do after the warm-up.
SHAPES = ("constant", "cosine")


@dataclass(frozen=True)
class LearningRate:
    r"""Up from 0 in a straight line, then constant, or down to the floor along half a cosine.

    .. math:: \eta(t) = \eta_{\min} + \tfrac12 (\eta_{\max} - \eta_{\min}) (1 + \cos \pi s),
        \qquad s = \frac{t - t_w}{T - t_w}

    Args:
        peak: Its largest value.
        epochs: T, length of training.
        shape: "constant" or "cosine".
        floor: Where the cosine ends.
        warm_up: t_w, length of the line from 0, in epochs; 0 begins at the peak.

    Raises:
        InputError: Unknown shape, or numbers out of range.

    Source:
        Loshchilov and Hutter 2017, arXiv:1608.03983, Eq. 5 without restarts; warm-up: Goyal et al. 2017,
        arXiv:1706.02677, 2.2. Deviation: the line begins at 0, not at the rate of one process.

    Example:
        >>> rate = LearningRate(8e-4, 400, "cosine", 1e-5)
        >>> [round(rate(epoch), 9) for epoch in (0.0, 200.0, 400.0)]
        [0.0008, 0.000405, 1e-05]
    """

    peak: float
    epochs: float
    shape: str = "constant"
    floor: float = 0.0
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise InputError(f"unknown learning_rate_schedule {self.shape!r}; use one of {', '.join(SHAPES)}")
        if not 0 <= self.warm_up <= self.epochs:
            raise InputError(
                f"learning_rate_warm_up_epochs is {self.warm_up:g}; it must be 0 to {self.epochs:g}, all the epochs"
            )
        if self.shape == "cosine" and not 0 <= self.floor <= self.peak:
            raise InputError(f"learning_rate_floor is {self.floor:g}; it must be 0 to {self.peak:g}, the learning rate")

    def __call__(self, epoch: float) -> float:
        """Return the rate after `epoch` epochs.

        Args:
            epoch: Fractions are positions inside an epoch.
        """
        if epoch < self.warm_up:
            return self.peak * epoch / self.warm_up
        if self.shape == "constant" or self.epochs <= self.warm_up:
            return self.peak
        passed = min(1.0, (epoch - self.warm_up) / (self.epochs - self.warm_up))
        return self.floor + 0.5 * (self.peak - self.floor) * (1.0 + cos(pi * passed))
