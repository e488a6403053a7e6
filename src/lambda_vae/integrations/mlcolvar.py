"""mlcolvar: its variational autoencoder of collective variables, diagnosed in the data's units, and equalized."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lambda_vae.any_vae.modes import evaluated
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing.targets import target_of
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import report_on, require_unchanged
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import gaussian, std_of_kl_weight

__all__ = ["diagnose_mlcolvar", "equalize_mlcolvar"]

_ROWS = 500


def diagnose_mlcolvar(model: Any, data: object, *, std: float | None = None, **options: Any) -> CollapseReport:
    """Return every measure of a VariationalAutoEncoderCV on some data, and a verdict on each CV with its cause.

    mlcolvar's loss is the squared error averaged over the F features, in the units of the data since the decoder's
    output is turned back by the model's own normalisation, plus beta times the KL: a Gaussian likelihood of variance
    beta F / 2 in those units. If the data have a "target", as time-lagged sets do, log p(target|z) is measured. With
    sample weights w in batches of n the variance is beta F n / 2 times the mean of w over that of w^2.

    Args:
        model: mlcolvar.cvs.VariationalAutoEncoderCV, trained or loaded.
        data: A DictModule, whose validation part is taken, a DictLoader, a DictDataset, or a tensor [N, F].
        std: Noise of the likelihood, in the units of the data, instead of the loss's.

    Raises:
        InputError: Another model, loss or data; a beta of 0 without std.

    Source:
        mlcolvar 1.3.1, cvs/unsupervised/vae.py; core/loss/elbo.py, `elbo_gaussians_loss`; core/loss/mse.py.
    """
    _require_vae(model)
    given = _Given.of(model, data)
    noise = _noise(model, given) if std is None else std

    def encode(data: Tensor) -> tuple[Tensor, Tensor]:
        hidden = model.encoder(data if model.norm_in is None else model.norm_in(data))
        return model.mean_nn(hidden), model.log_var_nn(hidden).clamp(min=-15)

    def decode(z: Tensor) -> Tensor:
        decoded: Tensor = model.decoder(z)
        return decoded if model.norm_in is None else model.norm_in.inverse(decoded)

    likelihood = gaussian(decode, std=noise)

    def of_target(data: Tensor, z: Tensor, target: Tensor) -> Tensor:
        return likelihood(target, z)

    # with the noise std, the loss is this likelihood plus another weight of the KL
    weight = 1.0 if std is None else (_noise(model, given) / std) ** 2 if model.beta else 0.0
    held = next((site.equalizer for site in target_of(model, "rsample").held()), None)
    log_p, notes = likelihood if given.target is None else of_target, _notes(model, given, noise, std is not None)
    with evaluated(model):
        return report_on(encode, log_p, given, options, model=held, kl_weight=weight, notes=notes)


def equalize_mlcolvar(model: Any, delta: float, **settings: Any) -> Any:
    """Equalize a VariationalAutoEncoderCV in whatever Trainer fits it from now on, and monitor its dimensions.

    The Trainer gets an `EqualizeCallback` from the model, which refreshes lambda after each epoch, plans a release over
    its epochs, logs the measures and warns of collapsing dimensions. The KL stays mlcolvar's own, validation and the CV
    do not change, and checkpoints load into the plain class. `del model.configure_callbacks` removes it before a
    training.

    Args:
        model: mlcolvar.cvs.VariationalAutoEncoderCV.

    Returns:
        The callback; its `equalizer` and `monitor` exist from the first fit on.

    Source:
        mlcolvar 1.3.1, cvs/unsupervised/vae.py, `encode_decode`: the paper's Eq. 9 is applied to its `rsample`.
    """
    _require_vae(model)
    from lambda_vae.integrations.lightning import EqualizeCallback

    if isinstance(model.__dict__.get("configure_callbacks"), _WithLambda):
        raise InputError("the model is equalized already; del model.configure_callbacks before another delta")
    beta = float(model.beta)
    callback = EqualizeCallback(int(model.n_cvs), delta, **{"at": "rsample", "kl_weight": beta, **settings})
    model.configure_callbacks = _WithLambda(model.configure_callbacks, callback)
    return callback


@dataclass(eq=False)
class _WithLambda:
    """`configure_callbacks` of the model, with lambda's callback appended."""

    own: Callable[[], Any]
    callback: Any

    def __call__(self) -> list[Any]:
        own = self.own()
        return [*(own if isinstance(own, list | tuple) else [own]), self.callback]


@dataclass(frozen=True)
class _Given:
    """Data as mlcolvar's training step takes them."""

    x: Tensor
    target: Tensor | None = None
    weights: Tensor | None = None
    batch: int | None = None
    which: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Any, data: Any) -> "_Given":
        names = ("DictModule", "DictLoader", "DictDataset")
        module, loader, dataset = needed("mlcolvar", *(f"mlcolvar.data.{name}" for name in names))
        which, batch = tuple[str, ...](), None
        if isinstance(data, module):
            data.setup()
            if len(data.lengths) < 2:
                raise InputError("the DictModule has no validation part; give the dataset, or lengths=[0.8, 0.2]")
            batch = int(data.train_dataloader().batch_size)
            data = data.val_dataloader()
            which = ("The validation part of the DictModule was measured.",)
        if isinstance(data, loader):
            if data.has_multiple_datasets:
                raise InputError("the loader holds several datasets; VariationalAutoEncoderCV trains on one, give that")
            batch = batch or int(data.batch_size)
            data = data.dataset
        if isinstance(data, torch.utils.data.Subset):
            data = data.dataset[data.indices]
        if isinstance(data, dataset):
            data = {key: data[key] for key in data.keys}
        parts = data if isinstance(data, Mapping) else {"data": data}
        x = parts.get("data")
        if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != model.in_features:
            found = f"of shape {list(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise InputError(
                f"'data' is {found}; give a DictModule, a DictDataset or a tensor [N, {model.in_features}], "
                "preprocessed as in the training"
            )
        return cls(x, parts.get("target"), parts.get("weights"), batch, which)

    @property
    def features(self) -> int:
        return int((self.x if self.target is None else self.target).shape[1])

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        parts = {"data": self.x} | ({} if self.target is None else {"target": self.target})
        for start in range(0, len(self.x), _ROWS):
            yield {name: part[start : start + _ROWS] for name, part in parts.items()}


def _require_vae(model: Any) -> None:
    kind, loss = needed("mlcolvar", "mlcolvar.cvs.VariationalAutoEncoderCV", "mlcolvar.core.loss.ELBOGaussiansLoss")
    if not isinstance(model, kind):
        raise InputError(f"the model is a {type(model).__name__}; give mlcolvar.cvs.VariationalAutoEncoderCV")
    own_loss = {f"loss_fn, {type(model.loss_fn).__name__},": type(model.loss_fn) is loss}
    methods, remedy = ("encode_decode", "training_step"), "lambda_vae.diagnose and lambda_vae.equalize"
    require_unchanged(model, kind, "mlcolvar's", methods, remedy, **own_loss)


def _noise(model: Any, given: _Given) -> float:
    """Std of the Gaussian likelihood in the loss, in the units of the data."""
    beta = float(model.beta)
    if not beta > 0.0:
        raise InputError(f"beta is {beta:g}: the loss charges no KL and stands for no noise; give std= as well")
    if given.weights is not None:
        if given.batch is None:
            raise InputError(
                "the data hold 'weights', which weigh the KL by the batch size too; give the DictModule of the training"
            )
        w = given.weights.double()
        beta *= given.batch * float(w.mean() / w.square().mean())
    return std_of_kl_weight(beta, given.features, "mean")


def _notes(model: Any, given: _Given, std: float, told: bool) -> tuple[str, ...]:
    if told:
        return given.which
    weighed, unless = "", ""
    if given.weights is not None:
        weighed = f" (its 'weights' in batches of {given.batch} multiply that beta: the KL is a sum over the batch)"
        unless = " without weights"
    return (
        *given.which,
        f"mlcolvar's loss is a mean over {given.features} features in the data's own units plus {float(model.beta):g} "
        f"KL{weighed}, and so assumes a noise of {std:.3g} in those units, normalised inputs or not; "
        f"beta = 2 s^2 / {given.features}{unless} makes it s.",
    )
