"""Fitted samplers as files: tensors and a line of text, never code."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lambda_vae.distributions import FullGaussianMixture
from lambda_vae.errors import InputError
from lambda_vae.files import replacing
from lambda_vae.generation.flow import ScaledFlow, new_flow
from lambda_vae.generation.samplers import FITTED, Sampler

__all__ = ["load_sampler", "save_sampler"]

_FORMAT = "lambda-vae sampler 1"


def save_sampler(path: Path, sampler: Sampler) -> None:
    """Write a fitted sampler as safetensors.

    Args:
        path: The file.
        sampler: A fit of this package.

    Raises:
        InputError: The prior, which belongs to its model and lies in the model's file.
    """
    law = sampler.density
    if isinstance(law, FullGaussianMixture):
        tensors = {"weights": law.weights, "means": law.means, "factors": law.factors}
    elif isinstance(law, ScaledFlow):
        tensors = {"mean": law.mean, "std": law.std}
        tensors |= {f"flow.{name}": tensor for name, tensor in law.flow.state_dict().items()}
    else:
        raise InputError(f"the sampler {sampler.name!r} is no fit; only {', '.join(FITTED)} are saved")
    with replacing(path) as temporary:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            temporary,
            metadata={"format": _FORMAT, "name": sampler.name, "note": sampler.note},
        )


def load_sampler(path: Path) -> Sampler:
    """Return a sampler that `save_sampler` wrote.

    Args:
        path: The file.

    Raises:
        InputError: No such file, or another content.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the file of a sampler that was saved")
    try:
        with safe_open(path, "pt") as file:
            said, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
        if said.get("format") != _FORMAT or said.get("name") not in FITTED:
            raise KeyError("format")
        law = _flow(tensors) if said["name"] == "flow" else FullGaussianMixture(**tensors)
    except (SafetensorError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} holds no sampler ({str(error).splitlines()[0]}); fit it anew") from None
    return Sampler(said["name"], law, said.get("note", ""))


def _flow(tensors: dict[str, Tensor]) -> ScaledFlow:
    with torch.random.fork_rng(devices=[]):
        flow = new_flow(len(tensors["mean"]))
    flow.load_state_dict({name.removeprefix("flow."): t for name, t in tensors.items() if name.startswith("flow.")})
    return ScaledFlow(flow.requires_grad_(False), tensors["mean"], tensors["std"])
