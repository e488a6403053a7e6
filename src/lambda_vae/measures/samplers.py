"""The samplers of a finished run."""

from pathlib import Path

import torch

from lambda_vae.checked import check_known
from lambda_vae.errors import InputError
from lambda_vae.generation import FITTED, SAMPLERS, Sampler, aggregate_codes, load_sampler, prior_sampler
from lambda_vae.rng import generator_for
from lambda_vae.runs.load import LoadedRun

__all__ = ["FITTED_ON", "chance", "sampler_of"]

#: Training examples whose codes ex-post samplers are fitted to, at most.
FITTED_ON = 20_000


def chance(seed: int, purpose: str) -> torch.Generator:
    """Return a generator whose stream no other purpose shares: a judge must not see the noise the samples came from.

    Args:
        seed: Of the whole.
        purpose: What it is drawn for.
    """
    return generator_for(f"lambda-vae generation {purpose} {seed}")


def sampler_of(run: LoadedRun, name: str, seed: int) -> Sampler:
    """Return a sampler of a run: its prior, a fit to its training codes, or a fit read from a file.

    Args:
        run: The run.
        name: In `SAMPLERS`, or a file that `save_sampler` wrote.
        seed: Of the fit.

    Raises:
        InputError: An unknown name, a file with something else, or codes that carry no fit.
    """
    if name == "prior":
        return prior_sampler(run.vae.p_z())
    if name.endswith(".safetensors"):
        return _read(Path(name), run.vae.latent_dim)
    check_known("sampler", name, SAMPLERS, "it is one of")
    training = run.probe(FITTED_ON)
    return FITTED[name](aggregate_codes(run.vae, training, chance(seed, "codes")), seed)


def _read(path: Path, dim: int) -> Sampler:
    sampler = load_sampler(path)
    own = sampler.density.marginals().mu.shape[-1]
    if own != dim:
        raise InputError(f"{path} draws z of {own} dimensions and the run's have {dim}; give a fit to this run")
    return sampler
