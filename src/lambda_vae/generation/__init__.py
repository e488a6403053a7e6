"""Generation: where new examples come from, and how good they are.

The prior, or a law fitted to the training codes after training; precision, recall, density and coverage in a stated
feature space; the ELBO under a stated judge. No model is changed.
"""

from lambda_vae.generation.codes import aggregate_codes, draw_examples
from lambda_vae.generation.features import FEATURES, FeatureSpace, code_space, pca_space, pixel_space
from lambda_vae.generation.fid import FrechetDistance, fid
from lambda_vae.generation.fidelity import Fidelity, fidelity
from lambda_vae.generation.judge import Judge, elbo_under
from lambda_vae.generation.row import SamplerRow
from lambda_vae.generation.samplers import (
    FITTED,
    SAMPLERS,
    Sampler,
    fit_flow,
    fit_gaussian,
    fit_mixture,
    prior_sampler,
)
from lambda_vae.generation.storage import load_sampler, save_sampler

__all__ = [
    "FEATURES",
    "FITTED",
    "SAMPLERS",
    "FeatureSpace",
    "Fidelity",
    "FrechetDistance",
    "Judge",
    "Sampler",
    "SamplerRow",
    "aggregate_codes",
    "code_space",
    "draw_examples",
    "elbo_under",
    "fid",
    "fidelity",
    "fit_flow",
    "fit_gaussian",
    "fit_mixture",
    "load_sampler",
    "pca_space",
    "pixel_space",
    "prior_sampler",
    "save_sampler",
]
