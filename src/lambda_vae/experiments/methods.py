"""The table of methods: name, paper, parts. All methods share every part that is not under test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_vae.equalization import (
    DetachedExponent,
    FixedNoise,
    NoiseClamp,
    Sampling,
    VarianceEqualizer,
)
from lambda_vae.errors import InputError
from lambda_vae.experiments.config import RunConfig
from lambda_vae.experiments.values import nearest, plain_number
from lambda_vae.objectives import (
    IWAE,
    KERNELS,
    WAE,
    BetaELBO,
    FreeBits,
    InfoVAE,
    Objective,
    SampledELBO,
    TargetRate,
)
from lambda_vae.posteriors import CommittedPosterior, FlowPosterior, ImplicitPosterior, Posterior
from lambda_vae.priors import AutoregressivePrior, FlowPrior, Prior, StandardNormalPrior, VampPrior
from lambda_vae.training import (
    AdversarialAutoencoder,
    AdversarialBayes,
    Cyclical,
    Lagging,
    LinearWarmUp,
    Schedule,
    Strategy,
)

__all__ = ["METHODS", "PARTS", "Method", "method_named"]

#: The parts in which methods may differ from the plain VAE; a field of `Method` each.
PARTS = ("objective", "schedule", "equalizer", "sampling", "posterior", "prior", "strategy")

#: How a setting is written in tables; all others by their name.
_SIGNS = {"delta": "δ=", "beta": "β=", "release_epochs": "released "}
#: And in the names of folders.
_STEMS = {"release_epochs": "release"}


@dataclass(frozen=True)
class Method:
    """One row of the table; a part that is None is the plain VAE's.

    Args:
        name: On the command line.
        title: In tables and figures.
        paper: Where it comes from.
        short: What it adds to another method's title.
        settings: Fields of `RunConfig` that shape it.
        cost: What a training step costs beside the plain VAE's, in words.
        samples: Draws of z for each example in training.
        objective: What is minimised; the ELBO.
        schedule: The KL weight over training; 1.
        equalizer: lambda; none.
        sampling: The sampling step; sigma^lambda.
        posterior: (config, length of h) -> q(z|x); a diagonal Gaussian.
        prior: (config, length of x) -> p(z); N(0, I).
        strategy: How a batch becomes a step; one gradient step of everything.
    """

    name: str
    title: str
    paper: str
    short: str = ""
    settings: tuple[str, ...] = ()
    cost: str = "the same"
    samples: int = 1
    objective: Callable[[RunConfig], Objective] | None = None
    schedule: Callable[[RunConfig], Schedule] | None = None
    equalizer: Callable[[RunConfig], VarianceEqualizer] | None = None
    sampling: Callable[[RunConfig], Sampling] | None = None
    posterior: Callable[[RunConfig, int], Posterior] | None = None
    prior: Callable[[RunConfig, int], Prior] | None = None
    strategy: Callable[[RunConfig], Strategy] | None = None

    def own_parts(self) -> tuple[str, ...]:
        """Return the names of the parts that are not the plain VAE's."""
        return tuple(part for part in PARTS if getattr(self, part) is not None)

    def uses(self, setting: str) -> bool:
        """Return whether a setting shapes the method.

        Args:
            setting: A field of `RunConfig`.
        """
        return setting in self.settings

    def shown(self, config: RunConfig) -> dict[str, Any]:
        """Return the settings that tell a run of this method from another: delta, and what is not the default.

        Args:
            config: The run.
        """
        fields = RunConfig.__dataclass_fields__
        values = {name: getattr(config, name) for name in self.settings}
        return {name: value for name, value in values.items() if name == "delta" or value != fields[name].default}

    def label(self, config: RunConfig) -> str:
        """Return the method's name in tables, with the settings that tell its runs apart.

        Args:
            config: The run.
        """
        shown = self.shown(config)
        parts = [_SIGNS.get(name, f"{name.replace('_', ' ')}=") + _text(value) for name, value in shown.items()]
        return " ".join([self.title, *parts])

    def stem(self, config: RunConfig) -> str:
        """Return what names a run's files begin with: everything but the seed.

        Args:
            config: The run.
        """
        shown = self.shown(config)
        parts = [_STEMS.get(name, name.replace("_", "")) + _text(value) for name, value in shown.items()]
        return "-".join([self.name, *parts])


def _text(value: Any) -> str:  # noqa: ANN401 - any field's value
    if isinstance(value, tuple):
        return "x".join(map(_text, value))
    return plain_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _line(config: RunConfig, epochs: float | None) -> Schedule:
    """From 0 to 1 over so many epochs, or over half of all."""
    return LinearWarmUp(config.epochs / 2 if epochs is None else epochs)


def _with_pairs(config: RunConfig, objective: Objective) -> Objective:
    """The objective, if a batch has the pairs of examples that an MMD needs."""
    if config.batch_size < 2:
        raise InputError(f"batch_size is {config.batch_size}; {config.method} compares examples, so use 2 or more")
    return objective


def _equalizer(config: RunConfig) -> VarianceEqualizer:
    return VarianceEqualizer(
        config.latent_dim,
        config.delta,
        refresh_every=config.refresh_every,
        decay=config.decay,
        ramp_epochs=config.ramp_epochs,
        max_exponent=config.max_exponent,
        release_epochs=config.release_epochs,
        total_epochs=config.epochs,
    )


_ADVERSARY = ("adversary_hidden", "adversary_rate")

_LAMBDA = ("delta", "release_epochs", "ramp_epochs", "refresh_every", "decay", "max_exponent")


def _committed_posterior(config: RunConfig, features: int) -> Posterior:
    rate = config.committed_rate if config.committed_form == "independent" else 0.0
    return CommittedPosterior(features, config.latent_dim, rate)


def _committed_prior(config: RunConfig, _features: int) -> Prior:
    if config.committed_form == "independent":
        return StandardNormalPrior(config.latent_dim)
    return AutoregressivePrior(config.latent_dim, config.committed_rate)


_FLOW = ("flow_layers", "flow_hidden")

_ROWS = (
    Method("vae", "VAE", "Kingma and Welling 2014, arXiv:1312.6114"),
    Method(
        "beta-vae",
        "β-VAE",
        "Higgins et al. 2017",
        short="β",
        settings=("beta",),
        objective=lambda config: BetaELBO(config.beta),
    ),
    Method(
        "warm-up",
        "VAE + warm-up",
        "Bowman et al. 2016, arXiv:1511.06349",
        short="warm-up",
        settings=("warm_up_epochs",),
        schedule=lambda config: _line(config, config.warm_up_epochs),
    ),
    Method(
        "cyclical",
        "VAE + cyclical",
        "Fu et al. 2019, arXiv:1903.10145",
        short="cyclical",
        settings=("cycles",),
        schedule=lambda config: Cyclical(config.epochs, config.cycles),
    ),
    Method(
        "free-bits",
        "VAE + free bits",
        "Kingma et al. 2016, arXiv:1606.04934",
        short="free bits",
        settings=("free_bits", "free_bits_group"),
        objective=lambda config: FreeBits(config.latent_dim, config.free_bits, config.free_bits_group),
    ),
    Method(
        "target-rate",
        "target-rate VAE",
        "Burgess et al. 2018, arXiv:1804.03599",
        short="target rate",
        settings=("target_rate", "target_gamma", "target_epochs"),
        objective=lambda config: TargetRate(config.target_rate, config.target_gamma),
        # The objective reads the schedule as the part of the target that is asked for by now.
        schedule=lambda config: _line(config, config.target_epochs),
    ),
    Method(
        "delta-vae",
        "δ-VAE",
        "Razavi et al. 2019, arXiv:1901.03416",
        settings=("committed_rate", "committed_form"),
        posterior=_committed_posterior,
        prior=_committed_prior,
    ),
    Method(
        "iaf",
        "VAE + IAF",
        "Kingma et al. 2016, arXiv:1606.04934",
        short="IAF",
        settings=_FLOW,
        cost="a masked network a layer, on every draw",
        posterior=lambda config, features: FlowPosterior(
            features, config.latent_dim, "autoregressive", config.flow_layers, config.flow_hidden
        ),
    ),
    Method(
        "flow",
        "VAE + flow",
        "Rezende and Mohamed 2015, arXiv:1505.05770; Dinh et al. 2017, arXiv:1605.08803",
        short="flow",
        settings=("flow_kind", *_FLOW),
        cost="a masked network, or a plane, a layer, on every draw",
        posterior=lambda config, features: FlowPosterior(
            features, config.latent_dim, config.flow_kind, config.flow_layers, config.flow_hidden
        ),
    ),
    Method(
        "vamp-prior",
        "VampPrior",
        "Tomczak and Welling 2018, arXiv:1705.07120",
        short="VampPrior",
        settings=("pseudo_inputs",),
        cost="the encoder on pseudo_inputs more examples",
        prior=lambda config, features: VampPrior(features, config.pseudo_inputs),
    ),
    Method(
        "flow-prior",
        "VAE + flow prior",
        "Chen et al. 2017, arXiv:1611.02731",
        short="flow prior",
        settings=_FLOW,
        cost="a masked network a layer, on every draw",
        prior=lambda config, _features: FlowPrior(config.latent_dim, config.flow_layers, config.flow_hidden),
    ),
    Method(
        "info-vae",
        "InfoVAE",
        "Zhao et al. 2019, arXiv:1706.02262",
        short="MMD",
        settings=("info_alpha", "info_lambda", "kernel", "kernel_scale"),
        cost="the same and B² kernels",
        objective=lambda config: _with_pairs(
            config, InfoVAE(config.info_alpha, config.info_lambda, KERNELS[config.kernel](config.kernel_scale))
        ),
    ),
    Method(
        "wae",
        "WAE-MMD",
        "Tolstikhin et al. 2018, arXiv:1711.01558",
        short="WAE",
        settings=("wae_weight",),
        cost="the same and B² kernels",
        objective=lambda config: _with_pairs(config, WAE(config.wae_weight)),
    ),
    Method(
        "iwae",
        "IWAE",
        "Burda et al. 2016, arXiv:1509.00519; Tucker et al. 2019, arXiv:1810.04152",
        cost="one decoder a sample, 50 unless told",
        samples=50,
        settings=("samples",),
        objective=lambda _config: IWAE(),
    ),
    Method(
        "lambda-vae",
        "λ-VAE",
        "the λ-VAE paper, Eq. 9-17",
        short="λ",
        settings=_LAMBDA,
        equalizer=_equalizer,
    ),
    Method(
        "noise-clamp",
        "noise clamped at σ_c",
        "ours: Eq. 30 of the λ-VAE paper taken at its word",
        short="noise clamp",
        settings=("delta",),
        sampling=lambda config: NoiseClamp(config.delta),
    ),
    Method(
        "fixed-noise",
        "noise fixed at σ_c",
        "ours, after Ghosh et al. 2020, arXiv:1903.12436",
        short="fixed noise",
        settings=("delta",),
        sampling=lambda config: FixedNoise(config.delta),
    ),
    Method(
        "lambda-detached",
        "λ without its gradient",
        "ours: Eq. 9 of the λ-VAE paper without Eq. 11",
        short="λ detached",
        settings=_LAMBDA,
        equalizer=_equalizer,
        sampling=lambda _config: DetachedExponent(),
    ),
    Method(
        "lambda-elbo",
        "λ with the KL at q_λ",
        "ours: Eq. 9 of the λ-VAE paper in a valid bound",
        short="λ in the ELBO",
        settings=_LAMBDA,
        objective=lambda _config: SampledELBO(),
        equalizer=_equalizer,
    ),
    Method(
        "aae",
        "AAE",
        "Makhzani et al. 2016, arXiv:1511.05644",
        settings=("adversary_weight", *_ADVERSARY),
        cost="a discriminator's step beside the model's",
        # Without a KL; the strategy adds the discriminator's part.
        objective=lambda _config: BetaELBO(0.0),
        strategy=lambda config: AdversarialAutoencoder(
            config.adversary_weight, config.adversary_hidden, config.adversary_rate
        ),
    ),
    Method(
        "avb",
        "AVB",
        "Mescheder et al. 2017, arXiv:1701.04722",
        settings=("mixing_dim", "adaptive_contrast", *_ADVERSARY),
        cost="a discriminator's step on x and z beside the model's; 64 Gaussians an example for adaptive contrast",
        objective=lambda _config: BetaELBO(0.0),
        posterior=lambda config, features: ImplicitPosterior(features, config.latent_dim, config.mixing_dim),
        strategy=lambda config: AdversarialBayes(
            config.adversary_hidden, config.adversary_rate, adaptive_contrast=config.adaptive_contrast
        ),
    ),
    Method(
        "lagging",
        "VAE + lagging inference",
        "He et al. 2019, arXiv:1901.05534",
        short="lagging",
        settings=("aggressive_steps", "aggressive_window"),
        cost="while aggressive, up to aggressive_steps steps of the encoder before each of the decoder",
        strategy=lambda config: Lagging(config.aggressive_steps, config.aggressive_window),
    ),
)

#: Every method by its name on the command line; names joined by "+" compose.
METHODS: dict[str, Method] = {row.name: row for row in _ROWS}

#: Rows that do not fit together though no part of theirs is the same, and what to use instead.
_MISFITS: tuple[tuple[frozenset[str], frozenset[str], str], ...] = (
    (
        frozenset({"avb"}),
        frozenset({"lambda-vae", "noise-clamp", "fixed-noise", "lambda-detached", "lambda-elbo"}),
        "an implicit posterior has no sigma of its own for lambda to act on; use lambda-vae+iaf",
    ),
    (
        frozenset({"aae"}),
        frozenset({"vamp-prior", "flow-prior"}),
        "a discriminator is shown draws of the prior and teaches it nothing; use that prior without aae",
    ),
    (
        frozenset({"avb"}),
        frozenset({"vamp-prior"}),
        "the prior would be a mixture of laws without a density; use avb+flow-prior, or vamp-prior without avb",
    ),
    (
        frozenset({"iwae"}),
        frozenset({"iaf", "flow"}),
        "its gradients hold the posterior's parameters fixed at a given z, which a flow would have to be inverted for; "
        "leave out iwae",
    ),
    (
        frozenset({"vamp-prior"}),
        frozenset({"iaf", "flow"}),
        "the prior would be a mixture of flows, each to be inverted at every point; use flow-prior with them",
    ),
    (
        frozenset({"free-bits"}),
        frozenset({"delta-vae", "iaf", "flow", "vamp-prior", "flow-prior", "avb"}),
        "free bits need a closed KL of every dimension; use target-rate",
    ),
    (
        frozenset({"iwae"}),
        frozenset({"lambda-vae", "lambda-detached", "lambda-elbo", "noise-clamp", "fixed-noise"}),
        "importance weights need the density of the law really sampled, not the KL of another; leave out iwae and "
        "draw more with --samples",
    ),
    (
        frozenset({"iwae"}),
        frozenset({"iaf", "flow", "avb"}),
        "its gradient holds the parameters of a Gaussian posterior fixed; leave out iwae and compare by nll_iw",
    ),
)


def method_named(name: str) -> Method:
    """Return the method of that name.

    Args:
        name: A key of `METHODS`, or several joined by "+", such as "lambda-vae+warm-up".

    Raises:
        InputError: Unknown, with the nearest name in the message; or methods that do not fit together.

    Example:
        >>> method_named("warm-up+lambda-vae").title
        'λ-VAE + warm-up'
    """
    names = list(dict.fromkeys(name.split("+")))
    for each in names:
        if each not in METHODS:
            raise InputError(f"unknown method {each!r}{nearest(each, METHODS)}; the methods are {', '.join(METHODS)}")
    return _composed([METHODS[each] for each in names])


def _composed(rows: Sequence[Method]) -> Method:
    # lambda first, then by the table, so that one composition has one name.
    order = list(METHODS)
    rows = sorted(rows, key=lambda row: (row.equalizer is None, order.index(row.name)))
    if len(rows) == 1:
        return rows[0]
    _require_fit(rows)
    parts = {part: getattr(row, part) for row in rows for part in row.own_parts()}
    return Method(
        "+".join(row.name for row in rows),
        " + ".join([rows[0].title, *(row.short or row.title for row in rows[1:])]),
        "; ".join(row.paper for row in rows),
        settings=tuple(dict.fromkeys(setting for row in rows for setting in row.settings)),
        cost="; ".join(dict.fromkeys(row.cost for row in rows)),
        samples=max(row.samples for row in rows),
        **parts,
    )


def _require_fit(rows: Sequence[Method]) -> None:
    owners: dict[str, Method] = {}
    for row in rows:
        for part in row.own_parts():
            if part in owners:
                raise InputError(
                    f"{owners[part].name} and {row.name} do not fit together: both set the {part}; use one of them"
                )
            owners[part] = row
    names = {row.name for row in rows}
    for first, second, reason in _MISFITS:
        if names & first and names & second:
            pair = f"{next(iter(names & first))} and {next(iter(names & second))}"
            raise InputError(f"{pair} do not fit together: {reason}")
