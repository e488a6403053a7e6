"""From a config to the parts of a run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.checked import check_known
from lambda_vae.data import (
    Binarisation,
    Dataset,
    check_batch,
    check_likelihood,
    epoch_order,
    hold_out,
    load,
    view_test,
    view_train,
)
from lambda_vae.distributions import LIKELIHOODS
from lambda_vae.model import VAE
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior
from lambda_vae.runs.compose import method_named
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.networks import build_decoder, build_encoder
from lambda_vae.training import View

__all__ = [
    "FixedView",
    "binarisation_of",
    "build_vae",
    "likelihood_of",
    "load_data",
    "measuring_view",
    "probing_view",
    "training_view",
]


def likelihood_of(config: RunConfig, dataset: Dataset) -> str:
    """Return the likelihood's name: the config's, or Bernoulli for images and Gaussian for vectors.

    Args:
        config: The run.
        dataset: Its data.

    Raises:
        InputError: Unknown name, or one that does not fit the data.
    """
    name = config.likelihood or ("bernoulli" if dataset.kind == "image" else "gaussian")
    check_known("likelihood", name, LIKELIHOODS, "it is one of")
    check_likelihood(dataset, name)
    return name


def binarisation_of(config: RunConfig, dataset: Dataset) -> Binarisation:
    """Return what is done to the data before the model sees it.

    That is the config's binarisation for images under a Bernoulli likelihood, and nothing for all else.

    Args:
        config: The run.
        dataset: Its data.
    """
    binary = dataset.kind == "image" and likelihood_of(config, dataset) == "bernoulli"
    return config.binarisation if binary else "none"


def load_data(config: RunConfig, *, training: bool = True) -> Dataset:
    """Return the data of a run, prepared if it was not, after every check that can be made before training.

    Args:
        config: The run.
        training: Whether batches will be drawn from it.

    Raises:
        InputError: Missing, damaged or unfit data, or a batch larger than the data.
    """
    dataset = load(config.data, images=config.images())
    likelihood_of(config, dataset)
    if training:
        check_batch(len(dataset.train), config.batch_size)
    return hold_out(dataset, config.validation, config.batch_size)


def build_vae(config: RunConfig, shape: tuple[int, ...], likelihood: str) -> VAE:
    """Return an untrained VAE; the same config gives the same weights, whatever was drawn before.

    The parts that a method replaces are drawn last: encoder and decoder begin with the same weights under every method.

    Args:
        config: The run.
        shape: Of one example, as the data set gives it.
        likelihood: A name in `LIKELIHOODS`.

    Raises:
        InputError: Sizes below 1, unknown names, or a network that does not fit the data.
    """
    method = method_named(config.method)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = build_encoder(config, shape)
        gaussian = GaussianPosterior(encoder.out_features, config.latent_dim)
        decoder, p_x = build_decoder(config, shape, likelihood)
        posterior = method.posterior(config, encoder.out_features) if method.posterior else gaussian
        for module in posterior.modules():
            if isinstance(module, GaussianPosterior):  # what stands on it begins with the same weights as well
                module.load_state_dict(gaussian.state_dict())
        vae = VAE(
            encoder.network,
            posterior,
            method.prior(config, p_x.features) if method.prior else StandardNormalPrior(config.latent_dim),
            decoder,
            p_x,
            method.sampling(config) if method.sampling else None,
        )
    vae.equalization = replace(vae.equalization, delta=config.delta if method.uses("delta") else None)
    return vae


def training_view(config: RunConfig, dataset: Dataset) -> View:
    """Return the map from stored rows to what the model sees in training.

    Args:
        config: The run.
        dataset: Its data.
    """
    binarisation = binarisation_of(config, dataset)
    return lambda x, index, generator: view_train(x, index, binarisation, generator)


@dataclass(frozen=True)
class FixedView:
    """One part of the data as the model sees it when measured: drawn once with a fixed seed and never held whole.

    Args:
        x: Stored rows, [N, F]; may be a memory map.
        index: Which rows, [n].
        view: (rows, index) -> float [B, F].
        batch_size: Rows a batch.
    """

    x: Tensor
    index: Tensor
    view: Callable[[Tensor, Tensor], Tensor]
    batch_size: int = 500

    def __iter__(self) -> Iterator[Float[Tensor, "B F"]]:
        """Yield the batches, the same ones every time."""
        for rows in torch.split(self.index, self.batch_size):
            yield self.view(self.x.index_select(0, rows), rows)

    def head(self, n: int) -> Float[Tensor, "n F"]:
        """Return the first n rows.

        Args:
            n: How many, or fewer where there are fewer.
        """
        return self.view(self.x.index_select(0, self.index[:n]), self.index[:n])


def measuring_view(config: RunConfig, dataset: Dataset) -> FixedView:
    """Return what a run is measured on as the model sees it: the test set, or a validation split.

    Args:
        config: The run.
        dataset: Its data.
    """
    binarisation = binarisation_of(config, dataset)
    view = partial(view_test, binarisation=binarisation)
    if dataset.measured_on == "validation":  # rows of the training set: under "fixed" they stay the images they were
        view = partial(view_train, binarisation="fixed" if binarisation == "stochastic" else binarisation)
    return FixedView(dataset.test.tensor(), dataset.test.index(), view, _batch(config))


def probing_view(config: RunConfig, dataset: Dataset, limit: int = 10_000) -> FixedView:
    """Return a fixed random part of the training set, drawn once, for the probes.

    Args:
        config: The run.
        dataset: Its data.
        limit: At most so many examples.
    """
    binarisation = binarisation_of(config, dataset)
    fixed = partial(view_train, binarisation="fixed" if binarisation == "stochastic" else binarisation, seed=1)
    chosen = epoch_order(len(dataset.train), seed=0, epoch=0)[:limit]
    return FixedView(dataset.train.tensor(), dataset.train.index()[chosen], fixed, _batch(config))


def _batch(config: RunConfig) -> int:
    """Examples at a time: what surely fits, for networks whose maps take far more room than x."""
    return 500 if config.network == "mlp" else min(500, config.batch_size)
