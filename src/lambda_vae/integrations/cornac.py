"""cornac: VAECF and BiVAECF diagnosed, and equalized while their own `fit` trains them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import ceil
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize_fit
from lambda_vae.equalizing._equalize_class import alone, instances_made
from lambda_vae.equalizing.draws import DrawSite
from lambda_vae.equalizing.targets import target_of
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Batches, cannot_be, report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import DecoderLikelihood, bernoulli, gaussian, multinomial, poisson

__all__ = ["diagnose_cornac", "equalize_cornac"]

#: By a model's `likelihood`; its loss leaves the constants out.
_LIKELIHOODS: dict[str, Callable[[Any], DecoderLikelihood]] = {
    "mult": multinomial,
    "bern": bernoulli,
    "gaus": lambda decode: gaussian(decode, std=0.5**0.5),
    "pois": poisson,
}


def diagnose_cornac(model: Any, data: Any, *, side: str | None = None, **options: Any) -> CollapseReport:
    """Return every measure of a VAECF or BiVAECF on some users' rows, and a verdict on each latent dimension.

    Every stored entry of the matrix counts as 1, as in cornac's `fit`; users without entries are left out. log p(x|z)
    is that of the model's `likelihood` with all constants: "mult", a multinomial with its coefficient; "bern"; "gaus",
    a summed squared error and so a Gaussian of std sqrt(1/2); "pois". Causes are derived from the KL weight of the
    loss, the model's `beta` or `beta_kl`. Of a BiVAECF one side is measured, given the means of the other's factors
    that `score` uses. cornac leaves its network in train mode; it is measured in eval mode, and left as it was.

    Args:
        model: Fitted.
        data: A cornac Dataset whose items are the model's, such as `split.train_set`, or a matrix [users, items].
        side: Of a BiVAECF: "users" or "items".

    Raises:
        InputError: Another model, one that is not fitted, or other items than the model's.

    Source:
        cornac 3.0.1, models/vaecf/vaecf.py, `VAE.loss` and `learn`; models/bivaecf/bivae.py.
    """
    kind, bilateral = _kinds(model, "diagnosed")
    found: object = getattr(model, "bivae" if bilateral else "vae", None)
    if type(found) is not kind:
        state = "is not fitted" if found is None else f"has a {type(found).__name__} of another kind for network"
        raise InputError(f"the {type(model).__name__} {state}; call model.fit(train_set) before")
    if bilateral != (side in ("users", "items")):
        ways = "say side='users' or side='items'" if bilateral else "leave side out, its items have no latents"
        raise InputError(f"side is {side!r} of a {type(model).__name__}; {ways}")
    if bilateral and any(model.cap_priors.values()):
        raise InputError("the BiVAECF has cap_priors, a prior that depends on features; use diagnose(..., prior=)")
    matrix = _matrix(model, data, side or "users")
    vae: Any = found
    if side == "users":
        encode, decode = vae.encode_user, lambda theta: vae.decode_user(theta, vae.mu_beta)
    elif side == "items":
        encode, decode = vae.encode_item, lambda beta: vae.decode_item(vae.mu_theta, beta)
    else:
        encode, decode = vae.encode, vae.decode
    likelihood, size = _LIKELIHOODS[model.likelihood](decode), int(options.get("batch_size", 500))
    rows = Batches(
        range(0, matrix.shape[0], size), lambda at: torch.from_numpy(matrix[at : at + size].toarray()).float()
    )
    weight, takes = (model.beta_kl, "std") if bilateral else (model.beta, "logvar")
    notes = _notes(model, side, matrix)
    with evaluated(vae):
        return report_on(encode, likelihood, rows, options, kl_weight=float(weight), takes=takes, notes=notes)


@contextmanager
def equalize_cornac(model: Any, delta: float, **settings: Any) -> Iterator[tuple[HostEqualizer, ...]]:
    """Equalize the network that `model.fit` makes and trains within the block; then restore it.

    The class, the latent dimensions, the batches in an epoch and the epochs are the model's own. A BiVAECF gets two
    equalizers, the users' and the items', since one method draws from both posteriors, each with its own sigma.

    Args:
        model: A VAECF or BiVAECF that is not fitted yet.

    Raises:
        InputError: Another model, one that has its network already, or no `fit` within the block.

    Source:
        cornac 3.0.1, models/vaecf/vaecf.py and models/bivaecf/bivae.py, `reparameterize` and `learn`.
    """
    kind, bilateral = _kinds(model, "equalized")
    if hasattr(model, "bivae" if bilateral else "vae") or not model.trainable:
        raise InputError(
            f"the {type(model).__name__} has its network already, or is not trainable, so that fit makes none; make a "
            f"new {type(model).__name__}(...) and fit it within equalize_cornac"
        )
    settings = {"total_epochs": int(model.n_epochs)} | settings
    if not bilateral:

        def steps(train_set: Any, *_: Any, **__: Any) -> int:
            return ceil(int(train_set.num_users) / int(model.batch_size))

        with equalize_fit(model, steps, kind, int(model.k), delta, **settings) as equalizer:
            yield (equalizer,)
        return
    sides = {side: HostEqualizer(int(model.k), delta, **settings) for side in ("users", "items")}
    made: list[_Bilateral] = []

    def take(vae: Any) -> None:
        if made:
            raise InputError(
                "another BiVAECF was fitted within this block before, and lambda is planned for one training; give "
                "each `fit` a block of its own"
            )
        made.append(_Bilateral(vae, sides, int(model.batch_size)))

    try:
        with alone(kind), instances_made(kind, take):
            yield tuple(sides.values())
    finally:
        for one in made:
            one.remove()
    if not made or getattr(model, "bivae", None) is not made[0].vae:
        others = "another was" if made else "nothing was"
        raise InputError(f"this BiVAECF was not fitted within its block, {others}; call its `fit` in the block")


def _kinds(model: Any, wanted: str) -> tuple[type[nn.Module], bool]:
    """Class of a model's network, and whether its items have latents too."""
    names = "VAECF", "BiVAECF", "vaecf.vaecf.VAE", "bivaecf.bivae.BiVAE"
    vaecf, bivaecf, vae, bivae = needed("cornac", *(f"cornac.models.{name}" for name in names))
    if isinstance(model, vaecf | bivaecf):
        return (vae, False) if isinstance(model, vaecf) else (bivae, True)
    reason = "it is none of cornac's VAECF and BiVAECF; give the recommender itself, not its network or its score"
    raise cannot_be(model, wanted, reason)


def _matrix(model: Any, data: Any, side: str) -> Any:
    """The users' rows of zeros and ones, or the items' columns as rows, without empty ones."""
    for what in ("items",) if side == "users" else ("items", "users"):
        own, ids = (getattr(one, "iid_map" if what == "items" else "uid_map", None) or {} for one in (model, data))
        other = next((one for one in ids if one in own and own[one] != ids[one]), None)
        if other is not None:
            raise InputError(
                f"{what[:-1]} {other!r} is number {ids[other]} of the data, {own[other]} of the model; make the data "
                "with the model's numbers: Dataset.build(data, global_uid_map=OrderedDict(model.uid_map), "
                "global_iid_map=OrderedDict(model.iid_map))"
            )
    stored: Any = getattr(data, "csr_matrix", data)
    stored = stored.detach().cpu().to_dense().numpy() if isinstance(stored, Tensor) else stored
    given: Any = "none" if stored is None else stored
    try:
        matrix = csr_matrix(given, dtype=np.float32, copy=True)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the data are a {type(data).__name__}; give a cornac Dataset, such as split.train_set, or a matrix "
            "[users, items]"
        ) from error
    if np.isnan(matrix.data).any():  # often missing ratings, while every stored entry counts
        raise InputError(
            f"the data hold {int(np.isnan(matrix.data).sum())} NaN, and whatever is stored counts as an interaction; "
            "give 0 where there is none"
        )
    matrix.data[:] = 1.0
    axis, wanted = (1, model.num_items) if side == "users" else (0, model.num_users)
    if matrix.shape[axis] != wanted:
        what = "items" if side == "users" else "users"
        raise InputError(
            f"the data have {matrix.shape[axis]} {what}, the model {wanted}; give the {what} it was fitted on"
        )
    rows = matrix if side == "users" else matrix.T.tocsr()
    rows = rows[np.diff(rows.indptr) > 0]
    if not rows.shape[0]:
        raise InputError("the data hold no interaction; give a Dataset with some")
    return rows


def _notes(model: Any, side: str | None, rows: Any) -> tuple[str, ...]:
    notes = []
    if model.likelihood == "mult":
        nats = float(torch.lgamma(torch.from_numpy(np.diff(rows.indptr)) + 1.0).mean())
        notes.append(
            f"cornac's loss leaves out the multinomial's coefficient, {nats:.1f} nats an example: at a KL weight of 1 "
            "it is that much higher than nll_bound."
        )
    if side is not None:
        other = "items" if side == "users" else "users"
        notes.append(
            f"Measured are the {side}, given the means of the {other}' factors that score() uses; the {other} are "
            f"diagnose_cornac(..., side={other!r})."
        )
    return tuple(notes)


class _Bilateral:
    """A BiVAE's one sampling method with two equalizers; the layer that computes sigma shows which side draws."""

    def __init__(self, vae: Any, sides: Mapping[str, HostEqualizer], batch_size: int) -> None:
        self.vae, self.sides, self.turn = vae, sides, ""
        layers = {"users": (vae.user_std, vae.item_encoder), "items": (vae.item_std, vae.user_encoder)}
        self.handles = [
            layer.register_forward_hook(partial(self._take_turn, side)) for side, (layer, _) in layers.items()
        ]
        for side, equalizer in sides.items():
            if equalizer.steps_per_epoch is None:  # the other side encodes this one's rows; each batch is drawn twice
                equalizer.steps_per_epoch = 2 * ceil(layers[side][1][0].in_features / batch_size)
            site = DrawSite(equalizer, vae, f"BiVAE.reparameterize of the {side}", takes="std")
            # cornac does not shuffle, so that batches differ more than latents do
            site.asks, site.callers = partial(self._has_turn, side), None
            equalizer.hold(target_of(vae, "reparameterize").take(site), vae, f"equalizer_{side}")

    def _take_turn(self, side: str, *_: object) -> None:
        self.turn = side

    def _has_turn(self, side: str) -> bool:
        return self.turn == side

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()
        for equalizer in self.sides.values():
            equalizer.remove()
