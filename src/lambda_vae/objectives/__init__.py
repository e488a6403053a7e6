"""Objectives: a trace in, terms in nats for each example out; one file a paper."""

from typing import TYPE_CHECKING

from lambda_vae.lazy import on_first_use

if TYPE_CHECKING:
    from lambda_vae.objectives.beta import BetaELBO
    from lambda_vae.objectives.bounds import excess_kl, nll_bound, rate, rate_q, surrogate_nll
    from lambda_vae.objectives.elbo import ELBO, SampledELBO
    from lambda_vae.objectives.free_bits import FreeBits
    from lambda_vae.objectives.info_vae import InfoVAE
    from lambda_vae.objectives.iwae import IWAE
    from lambda_vae.objectives.mmd import IMQ, KERNELS, RBF, Kernel, squared_mmd
    from lambda_vae.objectives.objective import Objective, Terms
    from lambda_vae.objectives.target_rate import TargetRate
    from lambda_vae.objectives.wae import WAE

__all__ = [
    "ELBO",
    "IMQ",
    "IWAE",
    "KERNELS",
    "RBF",
    "WAE",
    "BetaELBO",
    "FreeBits",
    "InfoVAE",
    "Kernel",
    "Objective",
    "SampledELBO",
    "TargetRate",
    "Terms",
    "excess_kl",
    "nll_bound",
    "rate",
    "rate_q",
    "squared_mmd",
    "surrogate_nll",
]

__getattr__ = on_first_use(__name__)
