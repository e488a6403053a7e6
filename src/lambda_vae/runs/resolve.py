"""A run with everything that its config names: the data, the likelihood, the binarisation, and what the model sees."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

from lambda_vae.checked import check_known
from lambda_vae.data import (
    Binarisation,
    Dataset,
    FixedView,
    check_batch,
    check_likelihood,
    epoch_order,
    hold_out,
    load,
    view_test,
    view_train,
)
from lambda_vae.distributions import CATEGORICAL, LIKELIHOODS
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError
from lambda_vae.methods import Context, Method
from lambda_vae.model import VAE
from lambda_vae.objectives import ELBO, Objective
from lambda_vae.runs.build import build_vae
from lambda_vae.runs.config import RunConfig
from lambda_vae.training import JointUpdate, Schedule, Strategy, TrainOptions, View
from lambda_vae.training.strategies import check_fit

__all__ = ["Parts", "Run"]

#: What data of each kind are given where nothing is said.
_LIKELIHOODS = {"image": "bernoulli", "vector": "gaussian", "sequence": CATEGORICAL}


class Parts(NamedTuple):
    """The model of a run and the parts of its method, untrained."""

    vae: VAE
    objective: Objective
    schedule: Schedule | None
    equalizer: VarianceEqualizer | None
    strategy: Strategy


@dataclass(frozen=True, eq=False)
class Run:
    """A run, resolved once.

    Args:
        config: What was asked for.
        dataset: Its data.
        likelihood: A name in `LIKELIHOODS`, or "categorical" of sequences.
    """

    config: RunConfig
    dataset: Dataset
    likelihood: str

    @classmethod
    def resolve(cls, config: RunConfig, dataset: Dataset | None = None, *, training: bool = True) -> "Run":
        """Return the run of a config, its data prepared if need be, after every check that can be made before training.

        Args:
            config: The run.
            dataset: Its data, where it is there already.
            training: Whether batches will be drawn from it.

        Raises:
            InputError: Missing, damaged or unfit data, an unknown likelihood or one that does not fit the data, or a
                batch larger than the data.
        """
        found = load(config.data, images=config.images, sequences=config.sequences) if dataset is None else dataset
        name = config.likelihood or _LIKELIHOODS[found.kind]
        check_known("likelihood", name, (*LIKELIHOODS, CATEGORICAL), "it is one of")
        _check_kind(found, config, name)
        check_likelihood(found, name)
        if dataset is None:
            if training:
                check_batch(len(found.train), config.train.batch_size)
            found = hold_out(found, config.validation, config.train.batch_size)
        return cls(config, found, name)

    @property
    def method(self) -> Method:
        """The method."""
        return self.config.method

    @property
    def context(self) -> Context:
        """What the method may know of the run."""
        train = self.config.train
        return Context(self.config.latent_dim, train.epochs, train.batch_size, self.dataset.features)

    @property
    def binarisation(self) -> Binarisation:
        """What is done to the data before the model sees it: nothing but to images under a Bernoulli likelihood."""
        binary = self.dataset.kind == "image" and self.likelihood == "bernoulli"
        return self.config.binarisation if binary else "none"

    def build_vae(self) -> VAE:
        """Return the untrained model.

        Raises:
            InputError: As `build_vae`.
        """
        return build_vae(self.config, self.shape, self.likelihood)

    @property
    def shape(self) -> tuple[int, ...]:
        """What the networks are built for: the shape of one example, of sequences (longest, size of the vocabulary)."""
        vocabulary = self.dataset.vocabulary
        return self.dataset.shape if vocabulary is None else (*self.dataset.shape, vocabulary.size)

    def parts(self) -> Parts:
        """Return what a trainer of the run trains, at its beginning.

        Raises:
            InputError: A value is out of range, or the network does not fit the data.
        """
        method, context = self.method, self.context
        vae = self.build_vae()
        vae.prior.init_from_data(self.probe().head(1000))
        objective, strategy = method.objective(context) or ELBO(), method.strategy(context) or JointUpdate()
        return Parts(vae, objective, method.schedule(context), method.equalizer(context), strategy)

    def check(self) -> None:
        """Raise what a trainer of the run would, without one; nothing is written.

        Raises:
            InputError: As `parts`, or what is trained does not fit together.
        """
        check_batch(len(self.dataset.train), self.config.train.batch_size)
        parts = self.parts()
        check_fit(parts.vae, parts.objective, parts.strategy, self.options())

    def options(self, keep_checkpoints: tuple[int, ...] = ()) -> TrainOptions:
        """Return the numbers of training, with the number of samples that the method draws.

        Args:
            keep_checkpoints: Epoch ends whose checkpoint stays.
        """
        train = self.config.train
        return replace(train, samples=self.method.draws(train.samples), keep_checkpoints=keep_checkpoints)

    @cached_property
    def training_view(self) -> View:
        """From stored rows to what the model sees in training."""
        binarisation = self.binarisation
        return lambda x, index, generator: view_train(x, index, binarisation, generator)

    @cached_property
    def measured(self) -> FixedView:
        """What the run is measured on as the model sees it: the test set, or a validation split."""
        view = partial(view_test, binarisation=self.binarisation)
        if self.dataset.measured_on == "validation":  # rows of the training set: under "fixed" they stay as they were
            view = partial(view_train, binarisation=self._fixed)
        return FixedView(self.dataset.test.tensor(), self.dataset.test.index(), view, self._rows)

    def probe(self, limit: int = 10_000) -> FixedView:
        """Return a fixed random part of the training set, drawn once, for the probes.

        Args:
            limit: At most so many examples.
        """
        fixed = partial(view_train, binarisation=self._fixed, seed=1)
        chosen = epoch_order(len(self.dataset.train), seed=0, epoch=0)[:limit]
        return FixedView(self.dataset.train.tensor(), self.dataset.train.index()[chosen], fixed, self._rows)

    @property
    def _fixed(self) -> Binarisation:
        return "fixed" if self.binarisation == "stochastic" else self.binarisation

    @property
    def _rows(self) -> int:
        return self.config.network.rows_at_a_time(self.config.train.batch_size)


def _check_kind(data: Dataset, config: RunConfig, likelihood: str) -> None:
    """Raise unless network and likelihood are for data of this kind."""
    sequences, network = data.kind == "sequence", config.network
    if sequences != network.reads_tokens:
        fit = "gru, lstm or transformer" if sequences else "mlp, resnet or pixelcnn" if data.kind == "image" else "mlp"
        kind = f"{data.kind}s"
        raise InputError(f"{data.name} holds {kind}, and {network.name} does not take those; use network={fit}")
    if sequences != (likelihood == CATEGORICAL):
        fit = CATEGORICAL if sequences else "bernoulli or gaussian"
        what = "sequences" if sequences else f"{data.kind}s"
        raise InputError(f"{data.name} holds {what}, and the likelihood {likelihood} is not for those; use {fit}")
