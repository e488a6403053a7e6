"""lerobot's ACTPolicy: chunks of actions given a robot's state, its surroundings and its cameras."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.action_chunks import diagnose_chunks
from lambda_vae.integrations.host import Batches
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods.continuous import Laplace

__all__ = ["diagnose_lerobot", "equalize_lerobot"]

_ACTION, _PADDED, _IMAGES = "action", "action_is_pad", "observation.images"


def diagnose_lerobot(policy: Any, batches: Any, **options: Any) -> CollapseReport:
    """Return every measure of an ACTPolicy on some chunks, and a verdict on each latent dimension with its cause.

    x is the chunk without its padding, and log p(x|z, observation) is Laplace. The loss is the *mean* absolute error
    over the numbers that are not padding, n a chunk on average, plus kl_weight times the KL: multiplied by n that is
    the absolute error at scale kl_weight n with a KL weight of 1, as in `nll_bound`. All is measured in eval mode,
    without dropout, although ACT encodes only in training.

    Args:
        policy: Trained with use_vae.
        batches: A DataLoader or list of inputs of `policy.forward`: normalised, with "action" and "action_is_pad".

    Raises:
        InputError: Another policy, one without a VAE, a kl_weight of 0, batches that the policy does not take.

    Source:
        lerobot 0.6.1, policies/act/modeling_act.py, `ACTPolicy.forward`, `ACT.forward`.
    """
    model = _act(policy)
    cameras = tuple(policy.config.image_features)
    chunks = Batches(batches, lambda batch: _chunk(batch, cameras))
    numbers, rows = 0, 0
    for action, given in chunks:
        numbers, rows = numbers + int((~given[_PADDED]).sum()) * action.shape[-1], rows + len(action)

    def encode(action: Tensor, given: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        model.training = True  # only its own mode, by which it encodes: its parts and dropout stay in eval mode
        try:
            mu, logvar = model({**given, _ACTION: action})[1]
        finally:
            model.training = False
        return mu, logvar

    def act(given: Mapping[str, Any]) -> Tensor:
        actions: Tensor = model(given)[0]
        kept: Tensor = ~given[_PADDED][..., None]
        return actions * kept

    return diagnose_chunks(
        model,
        encode,
        act,
        chunks,
        options,
        entrance=model.encoder_latent_input_proj,
        kl_weight=float(policy.config.kl_weight),
        numbers=numbers / max(rows, 1),
        likelihood=_Unpadded,
    )


def equalize_lerobot(policy: Any, delta: float, **settings: Any) -> HostEqualizer:
    """Return the equalizer that narrows the noise of an ACTPolicy in its trainings from now on.

    lerobot counts steps, not epochs: give steps_per_epoch. The KL stays the policy's own; `select_action` takes z = 0.

    Args:
        policy: An ACTPolicy with use_vae.

    Source:
        lerobot 0.6.1, policies/act/modeling_act.py, `ACT.forward`: the paper's Eq. 9 is applied to `latent_sample`.
    """
    model = _act(policy)
    settings |= {"into": "encoder_latent_input_proj", "posterior": "vae_encoder_latent_output_proj", "takes": "logvar"}
    return equalize(model, int(model.config.latent_dim), delta, **settings)


def _act(policy: Any) -> Any:
    (kind,) = needed("lerobot", "lerobot.policies.act.modeling_act.ACTPolicy")
    if not isinstance(policy, kind):
        raise InputError(f"the policy is a {type(policy).__name__}; it must be lerobot's ACTPolicy")
    if not policy.config.use_vae:
        raise InputError("the policy's use_vae is False: it has no latents; ACTConfig(use_vae=True) gives it them")
    return policy.model


class _Unpadded(Laplace):
    """Laplace likelihood without the padding, which is 0 in x and in the decoder's output."""

    def __call__(self, x: Tensor, z: Tensor, *conditions: Any) -> Tensor:
        padded: Tensor = conditions[0][_PADDED].sum(1) * x.shape[-1]
        return super().__call__(x, z, *conditions) + padded * (2.0 * self.scale).log()


def _chunk(batch: Any, cameras: Sequence[str]) -> tuple[Tensor, dict[str, Any]]:
    """A batch of lerobot as (chunk, everything else)."""
    known = batch if isinstance(batch, Mapping) else {}
    lacking = [key for key in (_ACTION, _PADDED, *cameras) if key not in known]
    if lacking:
        raise InputError(
            f"a batch has no {lacking[0]!r}; give batches as policy.forward takes them, from a dataset with "
            "delta_timestamps and through the preprocessor"
        )
    given: dict[str, Any] = {key: value for key, value in batch.items() if isinstance(value, Tensor) and key != _ACTION}
    if cameras:
        given[_IMAGES] = [batch[key] for key in cameras]
    return batch[_ACTION] * ~batch[_PADDED][..., None], given
