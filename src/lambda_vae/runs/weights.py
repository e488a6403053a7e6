"""The weights of a finished model: one safetensors file, with λ if it has one."""

from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lambda_vae.data import Dataset
from lambda_vae.errors import InputError
from lambda_vae.files import replacing
from lambda_vae.model import VAE

__all__ = ["load_model", "save_model"]


def save_model(path: Path, vae: VAE) -> None:
    """Write a model's weights, and its lambda if it has one, as safetensors.

    Args:
        path: The file.
        vae: The model.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in vae.state_dict().items()}
    if (exponent := vae.equalization.exponent) is not None:
        tensors["exponent"] = exponent.detach().cpu()
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "lambda-vae model 1"})


def load_model(path: Path, vae: VAE, other: Dataset | None = None) -> None:
    """Give a model its weights and its lambda, and put it into evaluation mode; no pickle is executed.

    Args:
        path: A file that `save_model` wrote.
        vae: Untrained.
        other: The data its sizes come from, where they are not those it was trained on.

    Raises:
        InputError: The file is damaged, or holds another model.
    """
    try:
        tensors = load_file(path)
        exponent = tensors.pop("exponent", None)
        vae.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise _wrong_weights(path, other, str(error)) from None
    if exponent is not None and (exponent.shape != (vae.latent_dim,) or not exponent.is_floating_point()):
        raise _wrong_weights(path, None, f"its exponent is {exponent.dtype} of shape {list(exponent.shape)}")
    vae.equalization = replace(vae.equalization, exponent=exponent)
    vae.eval()


def _wrong_weights(model: Path, other: Dataset | None, error: str) -> InputError:
    reason = error.strip().splitlines()[-1].strip().rstrip(".")
    if other is not None and "size mismatch" in reason:
        return InputError(
            f"{other.name} of shape {other.shape} does not fit the run's model ({reason}); give other data"
        )
    return InputError(f"{model} does not hold this run's model ({reason}); restore it, or train again")
