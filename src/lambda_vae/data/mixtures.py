"""Mixtures of Gaussians in the plane: synthetic data whose density is known, drawn anew from a fixed seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.source import Part, Source

__all__ = ["MIXTURES", "Mixture", "mixture_source"]

TRAIN, TEST = 2000, 1000


@dataclass(frozen=True)
class Mixture:
    """p(x) = 1/k sum_k N(x; means_k, std^2 I).

    Attributes:
        means: Of the components, k points of the plane.
        std: The same for all components and both axes.

    Source:
        The paper, 6.1, which names k, the isotropic components and the plane but no numbers: these are ours.
    """

    means: tuple[tuple[float, float], ...]
    std: float

    def draw(self, n: int, random: np.random.RandomState) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Points float32 [n, 2] and the components int64 [n] they come from."""
        labels = random.randint(len(self.means), size=n).astype(np.int64)
        points = np.asarray(self.means)[labels] + self.std * random.standard_normal((n, 2))
        return points.astype(np.float32), labels


#: By the name of the data set. Two components lie apart along the first axis alone; four in the corners of a square.
MIXTURES: dict[str, Mixture] = {
    "gaussian-mixture-2": Mixture(((-2.0, 0.0), (2.0, 0.0)), 0.5),
    "gaussian-mixture-4": Mixture(((-2.0, -2.0), (-2.0, 2.0), (2.0, -2.0), (2.0, 2.0)), 0.5),
}


def mixture_source(name: str) -> Source:
    """The named mixture: 2,000 points to train on and 1,000 to test, each with its component as label."""
    mixture = MIXTURES[name]
    random = np.random.RandomState(0)  # not default_rng: numpy promises never to change its stream
    train, test = (Part.of(*mixture.draw(n, random)) for n in (TRAIN, TEST))
    means = ", ".join(f"({x:g}, {y:g})" for x, y in mixture.means)
    return Source(
        kind="vector",
        shape=(2,),
        train=train,
        test=test,
        source=f"drawn from {len(mixture.means)} Gaussians of equal weight and std {mixture.std:g} at {means}; seed 0",
        classes=tuple(f"component {k}" for k in range(len(mixture.means))),
    )
