"""lerobot's ACTPolicy: chunks of actions given a robot's state, its surroundings and its cameras."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lambda_vae.any_vae._diagnose import diagnose
from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing._equalize import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.action_chunks import given_code, note_on_chunks
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods.continuous import Laplace

__all__ = ["diagnose_lerobot", "equalize_lerobot"]

_ACTION, _PADDED, _IMAGES = "action", "action_is_pad", "observation.images"


def diagnose_lerobot(policy: Any, batches: Any, **options: Any) -> CollapseReport:  # noqa: ANN401 - lerobot has no types
    """Return every measure of an ACTPolicy on some chunks, and a verdict on each latent dimension with its cause.

    x is the chunk as far as it is not padding, and log p(x|z, observation) is Laplace. The loss takes the *mean* of the
    absolute error over the numbers that are not padding, n a chunk on average, and adds kl_weight times the KL:
    multiplied by n that is the absolute error at scale kl_weight n and a KL weight of 1, which is what `nll_bound`
    counts. All is measured in eval mode, without dropout; ACT encodes only in training, and is made to.

    Args:
        policy: Trained with use_vae.
        batches: A DataLoader or list of what `policy.forward` takes: normalised, with "action" and "action_is_pad".
        options: Of `lambda_vae.any_vae._diagnose`.

    Raises:
        InputError: Another policy, one without a VAE, a kl_weight of 0, batches that the policy does not take, or as
            `diagnose`.

    Source:
        lerobot 0.6.1, policies/act/modeling_act.py, `ACTPolicy.forward`, `ACT.forward`.
    """
    model = _act(policy)
    weight = float(policy.config.kl_weight)
    if not weight > 0.0:
        raise InputError(f"kl_weight is {weight:g}: without a KL no Laplace scale belongs to the loss")
    chunks = _Chunks(batches, tuple(policy.config.image_features))
    numbers = chunks.numbers()

    def encode(action: Tensor, given: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        with torch.random.fork_rng(_devices(action)), _encoding(model):  # it draws a z, which is not looked at
            mu, logvar = model({**given, _ACTION: action})[1]
        return mu, logvar

    def decode(z: Tensor, given: Mapping[str, Any]) -> Tensor:
        with given_code(model.encoder_latent_input_proj, z):
            actions: Tensor = model(given)[0]
        kept: Tensor = ~given[_PADDED][..., None]
        return actions * kept

    options.setdefault("equalizer", getattr(model, "equalizer", None))
    options.setdefault("kl_weight", None if options.get("history") is not None else 1.0)
    with evaluated(model):
        report = diagnose(encode, _Unpadded(decode, scale=weight * numbers), chunks, **options)
    return replace(report, notes=(*report.notes, note_on_chunks(weight, numbers)))


def equalize_lerobot(policy: Any, delta: float, **settings: Any) -> HostEqualizer:  # noqa: ANN401
    """Return the equalizer that from now on narrows the noise of an ACTPolicy while it trains.

    lerobot counts steps, not epochs: give steps_per_epoch. The KL stays the policy's own. `select_action` takes z = 0,
    and nothing is changed there.

    Args:
        policy: An ACTPolicy with use_vae.
        delta: The trade-off, > 1; inf is the training as it was, bit for bit.
        settings: Of `VarianceEqualizer`, such as steps_per_epoch, total_epochs and release_epochs.

    Raises:
        InputError: Another policy, one without a VAE, or as `equalize`.

    Source:
        lerobot 0.6.1, policies/act/modeling_act.py, `ACT.forward`: the paper's Eq. 9 is applied to `latent_sample`.
    """
    model = _act(policy)
    settings |= {"into": "encoder_latent_input_proj", "posterior": "vae_encoder_latent_output_proj", "takes": "logvar"}
    return equalize(model, int(model.config.latent_dim), delta, **settings)


def _act(policy: Any) -> Any:  # noqa: ANN401
    kind = needed("lerobot", "lerobot.policies.act.modeling_act.ACTPolicy")[0]
    if not isinstance(policy, kind):
        raise InputError(f"the policy is a {type(policy).__name__}; it must be lerobot's ACTPolicy")
    if not policy.config.use_vae:
        raise InputError("the policy's use_vae is False: it has no latents; ACTConfig(use_vae=True) gives it them")
    return policy.model


@contextmanager
def _encoding(model: Any) -> Iterator[None]:  # noqa: ANN401
    """ACT reads its own mode alone to see whether to encode; the modes of its parts, and dropout, stay as they are."""
    model.training = True
    try:
        yield
    finally:
        model.training = False


class _Unpadded(Laplace):
    """Laplace numbers of which those that are padding, 0 in x and in the decoder's answer, are none."""

    def __call__(self, x: Tensor, z: Tensor, *conditions: Any) -> Tensor:  # noqa: ANN401 - tensors by name
        padded: Tensor = conditions[0][_PADDED].sum(1) * x.shape[-1]
        return super().__call__(x, z, *conditions) + padded * (2.0 * self.scale).log()


@dataclass(frozen=True)
class _Chunks:
    """lerobot's batches as (chunk, the rest)."""

    batches: Any
    cameras: tuple[str, ...]

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        for batch in self.batches:
            known = batch if isinstance(batch, Mapping) else {}
            lacking = [key for key in (_ACTION, _PADDED, *self.cameras) if key not in known]
            if lacking:
                raise InputError(
                    f"a batch has no {lacking[0]!r}; give batches as policy.forward takes them, from a dataset with "
                    "delta_timestamps and through the preprocessor"
                )
            given: dict[str, Any] = {
                key: value for key, value in batch.items() if isinstance(value, Tensor) and key != _ACTION
            }
            if self.cameras:
                given[_IMAGES] = [batch[key] for key in self.cameras]
            yield batch[_ACTION] * ~batch[_PADDED][..., None], given

    def numbers(self) -> float:
        """How many numbers of a chunk are not padding, on average."""
        kept, rows = 0, 0
        for action, given in self:
            kept += int((~given[_PADDED]).sum()) * action.shape[-1]
            rows += len(action)
        return kept / max(rows, 1)


def _devices(like: Tensor) -> list[torch.device]:
    return [] if like.device.type == "cpu" else [like.device]
