"""torchrl's ACTModel, whose loss is ACTLoss: chunks of actions given an observation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.action_chunks import diagnose_chunks
from lambda_vae.integrations.tested import needed

__all__ = ["diagnose_torchrl", "equalize_torchrl"]

#: Rows of a TensorDict that are measured at once.
_ROWS = 500


def diagnose_torchrl(loss: Any, data: Any, **options: Any) -> CollapseReport:
    """Return every measure of the ACTModel in an ACTLoss on some chunks, and a verdict on each dimension.

    x is the chunk and log p(x|z, observation) is Laplace. ACTLoss is the *mean* absolute error over the T steps and A
    actions plus kl_weight times the KL: multiplied by T A that is the absolute error at scale kl_weight T A with a KL
    weight of 1, as in `nll_bound`. All is measured in eval mode, without dropout.

    Args:
        loss: The ACTLoss, with its kl_weight and its network.
        data: A TensorDict, or several for several passes, with the keys that the loss reads.

    Raises:
        InputError: Another loss or network, a kl_weight of 0, data without the loss's keys.

    Source:
        torchrl 0.14.1, modules/models/act.py, `ACTModel.forward`; objectives/act.py, `ACTLoss.forward`.
    """
    kind, network, tensordict = needed(
        "torchrl", "torchrl.objectives.ACTLoss", "torchrl.modules.models.ACTModel", "tensordict.TensorDictBase"
    )
    if not isinstance(loss, kind):
        raise InputError(
            f"the loss is a {type(loss).__name__}; give the ACTLoss, which knows kl_weight and its network"
        )
    model = _act(loss.actor_network, network)

    def encode(chunk: Tensor, observation: Tensor) -> tuple[Tensor, Tensor]:
        _, mu, logvar = model(observation, chunk)
        return mu, logvar

    def act(observation: Tensor) -> Tensor:
        return model(observation)[0]

    keys = loss.tensor_keys.action_chunk, loss.tensor_keys.observation
    return diagnose_chunks(
        model,
        encode,
        act,
        _Rows([data] if isinstance(data, tensordict) else data, keys),
        options,
        entrance=model.latent_out_proj,
        kl_weight=float(loss.kl_weight),
        numbers=int(model.chunk_size) * int(model.action_dim),
    )


def equalize_torchrl(model: Any, delta: float, **settings: Any) -> HostEqualizer:
    """Return the equalizer that narrows the noise of an ACTModel in its trainings from now on.

    Give steps_per_epoch, or call `equalizer.end_epoch()` in your training loop. The KL stays that of ACTLoss. A rollout
    (no chunk, z = 0) draws no z, and does not change.

    Args:
        model: The ACTModel, or its wrapper: a TensorDictModule or the ACTLoss.

    Source:
        torchrl 0.14.1, modules/models/act.py: the paper's Eq. 9 is applied to what `_reparameterise` has drawn.
    """
    network, loss = needed("torchrl", "torchrl.modules.models.ACTModel", "torchrl.objectives.ACTLoss")
    model = _act(model.actor_network if isinstance(model, loss) else model, network)
    settings |= {"into": "latent_out_proj", "posterior": "latent_proj", "takes": "logvar"}
    return equalize(model, int(model.latent_dim), delta, **settings)


def _act(model: Any, network: Any) -> Any:
    found = [one for one in model.modules() if isinstance(one, network)] if isinstance(model, nn.Module) else []
    if len(found) != 1:
        raise InputError(f"there are {len(found)} ACTModels in the {type(model).__name__}; give one with one")
    return found[0]


@dataclass(frozen=True)
class _Rows:
    """TensorDicts as batches of (chunk, observation), each with one batch axis."""

    batches: Any
    keys: tuple[Any, Any]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.batches:
            for key in self.keys:
                if batch.get(key, None) is None:
                    raise InputError(f"the data have no {key!r}; give TensorDicts as the loss takes them")
            chunks, seen = (batch.get(key).flatten(0, len(batch.batch_size) - 1) for key in self.keys)
            yield from zip(chunks.split(_ROWS), seen.split(_ROWS), strict=True)
