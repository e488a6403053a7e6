"""Objectives: a trace in, terms in nats for each example out; one file a paper."""

from lambda_vae.objectives.beta import BetaELBO
from lambda_vae.objectives.bounds import excess_kl, nll_bound, surrogate_nll
from lambda_vae.objectives.elbo import ELBO
from lambda_vae.objectives.objective import Objective, Terms

__all__ = ["ELBO", "BetaELBO", "Objective", "Terms", "excess_kl", "nll_bound", "surrogate_nll"]
