"""The spaces in which samples and data are compared."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import VAE

__all__ = ["FEATURES", "PCA_COMPONENTS", "FeatureSpace", "code_space", "pca_space", "pixel_space"]

#: Every space by its name on the command line.
FEATURES = ("pixels", "pca", "codes")

#: Directions of `pca_space`, or fewer where the data has fewer.
PCA_COMPONENTS = 50


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """A map from examples to points whose Euclidean distances mean something.

    Args:
        name: Given with every number taken in it.
        embed: [N, F] -> [N, P].
    """

    name: str
    embed: Callable[[Float[Tensor, "N F"]], Float[Tensor, "N P"]]


def pixel_space() -> FeatureSpace:
    """Return the data as it is."""
    return FeatureSpace("pixels", lambda x: x.double())


def pca_space(batches: Iterable[Tensor], components: int = PCA_COMPONENTS) -> FeatureSpace:
    """Return the directions of greatest variance of training data, not whitened.

    Args:
        batches: Training data as the model sees it, [B, F] each; gone through once.
        components: How many directions, at most.

    Raises:
        InputError: Fewer than two examples, or all the same.
    """
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for x in batches:
        x = x.double()
        count, total, products = count + len(x), total + x.sum(0), products + x.T @ x
    if count < 2:
        raise InputError(f"there are {count} training examples; PCA needs at least 2")
    mean = total / count
    variances, directions = torch.linalg.eigh(products / count - mean[:, None] * mean)
    kept = min(components, int((variances > 1e-12 * variances[-1].clamp(min=1e-300)).sum()))
    if not bool(variances[-1] > 0):
        raise InputError("all training examples are the same; PCA has no direction to look along")
    basis = directions[:, -kept:].flip(1)
    share = float(variances[-kept:].sum() / variances.sum())
    name = f"PCA of {count} training examples, {kept} directions with {share:.0%} of the variance"
    return FeatureSpace(name, lambda x: (x.double() - mean) @ basis)


def code_space(vae: VAE, owner: str, rows_per_pass: int = 1000) -> FeatureSpace:
    """Return the means of an encoder's posteriors.

    Args:
        vae: Whose encoder.
        owner: The model's name.
        rows_per_pass: Examples at a time.
    """

    @torch.no_grad()
    def embed(x: Tensor) -> Tensor:
        return torch.cat([vae.encode(part).marginals().mu for part in torch.split(x, rows_per_pass)]).double()

    return FeatureSpace(f"codes (mu) of {owner}", embed)
