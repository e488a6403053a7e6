"""multivae: its VAEs of several modalities diagnosed at their joint posterior, and equalized."""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from operator import attrgetter
from typing import Any

import torch
from numpy import ndarray
from torch import Tensor
from torch.utils.data import DataLoader

from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Batches, cannot_be, first_of, report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import bernoulli, categorical, gaussian, laplace, mixed

__all__ = ["diagnose_multivae", "equalize_multivae"]

_Posterior = tuple[Tensor, Tensor]

#: (model, dataset) -> mu and ln sigma^2 of q(z | all modalities), by the models' own names.
_JOINT: dict[str, Callable[[Any, Any], _Posterior]] = {
    "MVAE": lambda model, data: model.compute_mu_log_var_subset(data, list(model.encoders)),
    "JMVAE": lambda model, data: attrgetter("embedding", "log_covariance")(model.joint_encoder(data.data)),
    "MoPoE": lambda model, data: tuple(model.inference(data)["subsets"]["_".join(sorted(model.encoders))]),
    "MVTCAE": lambda model, data: tuple(model._inference(data)["joint"]),
}

_LIKELIHOODS: dict[str, Callable[[Any, Mapping[str, float]], Any]] = {
    "normal": lambda decode, known: gaussian(decode, std=known.get("scale", 1.0)),
    "laplace": lambda decode, known: laplace(decode, scale=known.get("scale", 1.0)),
    "bernoulli": lambda decode, known: bernoulli(decode, logits=True),
    "categorical": lambda decode, known: categorical(decode, logits=True),
}


def diagnose_multivae(model: Any, data: Any, **options: Any) -> CollapseReport:
    """Return every measure of a multimodal VAE at q(z | all modalities), and each latent dimension's verdict and cause.

    log p(x1, x2, ... | z) is the sum of the modalities' likelihoods, `decoders_dist` with the scales of
    `decoder_dist_params`, with every constant and without rescaling, as in `compute_joint_nll`. Causes are derived from
    the KL weight of the loss after its warm-up. MoPoE trains on a mixture of several posteriors; that of all modalities
    is measured, as in its `compute_joint_nll_paper`.

    Args:
        model: MVAE, JMVAE, MoPoE or MVTCAE with one latent space, in eval mode.
        data: A MultimodalBaseDataset in which no modality is missing.

    Source:
        multivae 1.0.3, models/base/base_utils.py, `set_decoder_dist`, and `compute_joint_nll` of the four models.
    """
    kind, (dataset,) = _kind(model, "diagnosed"), needed("multivae", "multivae.data.MultimodalBaseDataset")
    _check(model, data, dataset, kind)
    loader = DataLoader(data, int(options.get("batch_size", 500)))

    def rows(batch: Any) -> Tensor:
        return torch.cat([torch.as_tensor(batch.data[name]).flatten(1).float() for name in model.encoders], 1)

    first = first_of(loader)
    shapes = {name: torch.as_tensor(first.data[name]).shape[1:] for name in model.encoders}

    def split(x: Tensor) -> dict[str, Tensor]:
        parts: tuple[Tensor, ...] = torch.split(x, [prod(shape) for shape in shapes.values()], 1)
        return {name: part.reshape(-1, *shapes[name]) for name, part in zip(shapes, parts, strict=True)}

    held = (one for one in model.children() if isinstance(one, HostEqualizer) and one.sites[0].order == 0)
    weight = _kl_weight(model, kind)
    if weight is not None and kind == "MoPoE" and options.get("kl_weight") is None:
        options.setdefault("history", {"kl_weight": [weight]})  # gradients balance over all its posteriors alone
    log_likelihood = _likelihood(model, shapes)
    _require_own(model, log_likelihood, rows(first), split)
    joint, notes = next(held, None), _notes(model, kind, shapes)

    def encode(x: Tensor) -> _Posterior:
        return _JOINT[kind](model, dataset(split(x)))

    weight = None if kind == "MoPoE" else weight
    return report_on(encode, log_likelihood, Batches(loader, rows), options, model=joint, kl_weight=weight, notes=notes)


def equalize_multivae(model: Any, delta: float, *, draw: int = 0, **settings: Any) -> HostEqualizer:
    """Return the equalizer that narrows the noise of a multimodal VAE's latent in its trainings from now on.

    The draw from the joint posterior, the first of each step, is narrowed. MVAE then draws from its unimodal
    posteriors, in the order of its encoders: separate calls with draw=1, 2, ... equalize them too. MoPoE draws each
    example from the posterior of one subset of the modalities, and all of these share a lambda, that of their mean
    sigma. multivae's trainers call the model's `update()` after each epoch, and there lambda is refreshed; in your own
    loop call `equalizer.end_epoch()`, or give steps_per_epoch. The KL terms stay the model's own, and a saved model
    loads as an ordinary one.

    Args:
        model: MVAE, JMVAE, MoPoE or MVTCAE.
        draw: Number of the draw in a step, from 0.

    Source:
        multivae 1.0.3, models/base/base_utils.py, `rsample_from_gaussian`, and `forward` of JMVAE.
    """
    _kind(model, "equalized")
    equalizer = equalize(model, int(model.latent_dim), delta, at="rsample", draw=draw, **settings)
    equalizer.end_epochs_with(model, "update")
    return equalizer


def _kind(model: object, wanted: str) -> str:
    found = needed("multivae", *(f"multivae.models.{name}" for name in _JOINT))
    kinds: dict[object, str] = dict(zip(found, _JOINT, strict=True))
    if type(model) not in kinds:
        reason = f"of multivae's models {', '.join(_JOINT)} alone are known to draw one Gaussian latent whose KL is in"
        raise cannot_be(model, wanted, f"{reason} closed form; train multivae.models.JMVAE instead")
    return kinds[type(model)]


def _check(model: Any, data: Any, dataset: Any, kind: str) -> None:
    if not isinstance(data, dataset):
        raise InputError(f"data is a {type(data).__name__}; give MultimodalBaseDataset({{'name': x, ...}})")
    first: Any = data[0]
    if hasattr(first, "masks"):
        raise InputError(
            "modalities are missing in an IncompleteDataset, and the joint posterior is that of all; give a "
            "MultimodalBaseDataset of the complete examples"
        )
    missing = [name for name in model.encoders if not isinstance(first.data.get(name), Tensor | ndarray)]
    if missing:
        raise InputError(f"the data have no tensor {missing[0]!r}; the model's are {', '.join(model.encoders)}")
    if model.multiple_latent_spaces:
        raise InputError(
            f"{kind} has modalities_specific_dim={model.model_config.modalities_specific_dim}, a latent of each "
            "modality next to the shared one, which cannot be measured together; leave it out"
        )
    if kind == "MoPoE" and "_".join(sorted(model.encoders)) not in model.subsets:
        raise InputError(f"MoPoE's subsets {list(model.subsets)} lack that of all modalities; add it to subsets=")


def _likelihood(model: Any, shapes: Mapping[str, torch.Size]) -> Any:
    config, parts, at = model.model_config, {}, 0
    for name, shape in shapes.items():
        family, width = config.decoders_dist[name], prod(shape)
        if family == "categorical" and len(shape) != 1:
            raise InputError(f"modality {name!r} has categories of shape {list(shape)}; one-hot [N, K] is taken alone")

        def decode(z: Tensor, decoder: Any = model.decoders[name]) -> Tensor:
            reconstruction: Tensor = decoder(z).reconstruction
            return reconstruction.flatten(1)

        parts[name] = slice(at, at + width), _LIKELIHOODS[family](decode, config.decoder_dist_params.get(name, {}))
        at += width
    return mixed(parts)


def _require_own(model: Any, log_likelihood: Any, x: Tensor, split: Callable[[Tensor], dict[str, Tensor]]) -> None:
    """Compare the likelihood with the model's own, which `set_decoders_dist` may have changed."""
    with torch.no_grad():
        x = x[:8].to(next(model.parameters()).device)
        z, parts = torch.zeros(len(x), model.latent_dim, device=x.device), split(x)
        own = sum(
            model.recon_log_probs[name](model.decoders[name](z).reconstruction, one).flatten(1).sum(1)
            for name, one in parts.items()
        )
        if not torch.allclose(log_likelihood(x, z), own, rtol=1e-3, atol=1e-3):
            raise InputError(
                "the model's recon_log_probs are not those of its config's decoders_dist and decoder_dist_params; set "
                "the likelihood there, MODELConfig(decoders_dist=..., decoder_dist_params=...)"
            )


def _kl_weight(model: Any, kind: str) -> float | None:
    """Weight of KL(q(z | all) | N(0, I)) against the likelihood; None if modalities are rescaled differently."""
    factors, weight = {float(factor) for factor in model.rescale_factors.values()}, float(model.model_config.beta)
    if len(factors) > 1:
        return None
    if kind == "MVTCAE":
        weight *= (1 - model.alpha) / (1 - model.alpha / model.n_modalities)
    return weight / factors.pop()


def _notes(model: Any, kind: str, shapes: Mapping[str, torch.Size]) -> Iterator[str]:
    if kind in ("JMVAE", "MVTCAE"):
        yield (
            f"{kind} is trained on KL(q(z|all) | q(z|one)) of each modality besides, alpha {model.alpha:g}, which pays "
            "for no dimension and holds its posterior near those of single modalities."
        )
    if kind == "MoPoE":
        yield (
            "MoPoE is trained on the mean over the posteriors of several subsets of the modalities; that of all is "
            "measured."
        )
    if len(set(model.rescale_factors.values())) > 1:
        yield "The loss rescales the modalities; every bound here counts each once, and causes go by no KL weight."
    sigmoid = needed("multivae", "multivae.models.nn.default_architectures.Decoder_AE_MLP")[0]
    for name in shapes:
        family = model.model_config.decoders_dist[name]
        if family in ("bernoulli", "categorical") and type(model.decoders[name]) is sigmoid:
            yield (
                f"The default decoder of {name!r} ends in a sigmoid, and {family!r} takes its output as logits: no "
                "probability can get near 0 or 1; give decoders= without a last sigmoid."
            )
