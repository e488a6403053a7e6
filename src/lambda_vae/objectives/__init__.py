"""Objectives: a trace in, terms in nats for each example out; one file a paper."""

from lambda_vae.objectives.beta import BetaELBO
from lambda_vae.objectives.bounds import excess_kl, nll_bound, rate, rate_q, surrogate_nll
from lambda_vae.objectives.elbo import ELBO, SampledELBO
from lambda_vae.objectives.objective import Objective, Terms

__all__ = [
    "ELBO",
    "BetaELBO",
    "Objective",
    "SampledELBO",
    "Terms",
    "excess_kl",
    "nll_bound",
    "rate",
    "rate_q",
    "surrogate_nll",
]
