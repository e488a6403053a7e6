"""The table of methods: name, paper, parts. All methods share every part that is not under test."""

from dataclasses import replace

from lambda_vae.equalization import (
    DetachedExponent,
    FixedNoise,
    NoiseClamp,
    VarianceEqualizer,
)
from lambda_vae.errors import InputError
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
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.method import Method
from lambda_vae.training import (
    AdversarialAutoencoder,
    AdversarialBayes,
    Cyclical,
    Lagging,
    LinearWarmUp,
    Schedule,
    SemiAmortized,
)

__all__ = ["METHODS"]


def _line(config: RunConfig, epochs: float | None, part: float = 1 / 2) -> Schedule:
    """From 0 to 1 over so many epochs, or over this part of all."""
    return LinearWarmUp(config.epochs * part if epochs is None else epochs)


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
        settle_epochs=config.settle_epochs,
        release_path=config.release_path,
        release_capacity=config.release_capacity,
        total_epochs=config.epochs,
    )


def _rising(config: RunConfig) -> VarianceEqualizer:
    """Delta rises from the first sixth of training on, and is infinite for the last twelfth."""
    release, settle = round(config.epochs * 3 / 4), round(config.epochs / 12)
    return _equalizer(replace(config, release_epochs=release, settle_epochs=settle, release_path="delta"))


_ADVERSARY = ("adversary_hidden", "adversary_rate")

_RELEASE = ("release_epochs", "settle_epochs", "release_path", "release_capacity")

_LAMBDA = ("delta", *_RELEASE, "ramp_epochs", "refresh_every", "decay", "max_exponent")


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
        "lambda-rising",
        "λ-VAE with rising δ and warm-up",
        "ours: Eq. 9-17 of the λ-VAE paper on the way from δ to the plain VAE, under the warm-up of arXiv:1511.06349",
        short="λ rising",
        settings=("delta", "warm_up_epochs", "ramp_epochs", "refresh_every", "decay", "max_exponent"),
        schedule=lambda config: _line(config, config.warm_up_epochs, 5 / 6),
        equalizer=_rising,
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
    Method(
        "semi-amortized",
        "VAE + semi-amortised inference",
        "Kim et al. 2018, arXiv:1802.02550; Hjelm et al. 2016, arXiv:1511.06382",
        short="semi-amortised",
        settings=("refine_steps", "refine_rate"),
        cost="refine_steps more passes of the decoder",
        strategy=lambda config: SemiAmortized(config.refine_steps, config.refine_rate),
    ),
)

#: Every method by its name on the command line; names joined by "+" compose.
METHODS: dict[str, Method] = {row.name: row for row in _ROWS}
