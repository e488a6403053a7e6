"""Measures of finished runs: one command of the command line, one function, one file."""

from lambda_vae.measures.decode import draw_reconstructions, draw_samples
from lambda_vae.measures.generation import GenerationConfig, measure_generation
from lambda_vae.measures.gradients import measure_gradients
from lambda_vae.measures.information import measure_information
from lambda_vae.measures.likelihood import LikelihoodChoice, measure_likelihood

__all__ = [
    "GenerationConfig",
    "LikelihoodChoice",
    "draw_reconstructions",
    "draw_samples",
    "measure_generation",
    "measure_gradients",
    "measure_information",
    "measure_likelihood",
]
