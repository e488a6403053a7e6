"""diffusers: AutoencoderKL and every autoencoder that samples by `encode(x).latent_dist.sample()`."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.diffusers_classes import OWN_GAUSSIANS, asked
from lambda_vae.integrations.host import image_batch_size, report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import gaussian
from lambda_vae.likelihoods import std_of_kl_weight as usual_std

(DiagonalGaussianDistribution,) = needed("diffusers", "diffusers.models.autoencoders.vae.DiagonalGaussianDistribution")

__all__ = ["diagnose_diffusers", "equalize_diffusers", "std_of_kl_weight"]

#: Names in the classes' configs for the number of latent channels.
_CHANNELS = (
    "latent_channels", "z_channels", "z_dim", "codebook_dim", "decoder_input_channels", "vocoder_input_dim"
)  # fmt: skip


def diagnose_diffusers(model: nn.Module, images: object, *, std: float, **options: Any) -> CollapseReport:
    """Return every measure of a diffusers autoencoder on some images, and a verdict on each latent channel.

    p(x|z) is a Gaussian of the given std around the decoder's output, the prior N(0, I). If the codes fit that prior
    badly, as under a tiny KL weight, `report.notes` says so: such a model reconstructs well, and decodes N(0, I) to
    noise.

    Args:
        model: In eval mode; latents are not multiplied by `scaling_factor`.
        images: As the model takes them, usually in [-1, 1]: a tensor [N, C, H, W], or batches for several passes.
        std: Of the observation; that of the loss, see `std_of_kl_weight`.
        options: Of `lambda_vae.diagnose`; a decoder that draws, as that of ConsistencyDecoderVAE, needs draws=.
            dim="site" makes every number of the latents a dimension; equalizer=None leaves out the model's own.
    """
    _require_posterior(model)
    host = asked(model, options.get("draws", 1))
    size = options.setdefault("batch_size", image_batch_size(images))
    if options.get("dim", "channel") == "channel":
        options["dim"] = 1  # of sound as well, [B, C, L]
    host.require_floats(images, size)
    report = report_on(
        host.encode, gaussian(host.decode, std=std), host.data(images, size), options, model=model, notes=host.notes()
    )
    return replace(report, notes=(*report.notes, *_prior_notes(report)))


def std_of_kl_weight(kl_weight: float, averaged_over: int = 1, *, latent: Sequence[int] | None = None) -> float:
    """Return the std for which squared error + kl_weight * KL is an ELBO, up to a factor and a constant.

    −ln p(x|z) of a Gaussian is squared error / (2 std²); multiplied by 2 std², the KL has the weight 2 std². A
    weight of 1e-6 on the summed squared error is a noise of 0.0007; on the error averaged over 3 x 256 x 256 numbers,
    one of 0.31. Of a loss with L1 or perceptual terms it is the nearest Gaussian's at best.

    `latent_dist.kl()` sums three axes, which of a video's latents [B, C, T, H, W] leaves W: its mean is a KL divided by
    W, so that a loss with `kl_weight * latent_dist.kl().mean()` weighs the KL by kl_weight / W. Give `latent` there.

    Args:
        kl_weight: Of the KL that is summed over the latents, as `latent_dist.kl()` gives it for images.
        averaged_over: Numbers of an image that the squared error is averaged over, as `mse_loss` does; 1 for a sum.
        latent: Shape of `latent_dist.mean`, where the loss takes the mean of `latent_dist.kl()`.

    Raises:
        InputError: One of them is not greater than 0, or `kl()` has no value for such latents.

    Source:
        diffusers 0.42.1, models/autoencoders/vae.py, `DiagonalGaussianDistribution.kl`.

    Example:
        >>> std_of_kl_weight(1e-6), round(std_of_kl_weight(1e-6, averaged_over=3 * 256 * 256), 2)
        (0.0007071067811865475, 0.31)
        >>> std_of_kl_weight(2.0 * 32, latent=(1, 16, 5, 32, 32))
        1.0
    """
    if not averaged_over > 0:
        raise InputError(f"averaged_over is {averaged_over}; it must be greater than 0")
    if latent is not None and len(latent) < 4:
        raise InputError(
            f"latent is {list(latent)}, for which latent_dist.kl() has no value: it sums the axes 1, 2 and 3; sum the "
            "KL over all axes but the first, and leave latent out"
        )
    left = math.prod(latent[4:]) if latent is not None else 1
    return usual_std(kl_weight / left, averaged_over)


def equalize_diffusers(
    model: nn.Module, delta: float, *, latent_channels: int | None = None, **settings: Any
) -> HostEqualizer:
    """Return the equalizer that from now on narrows the draws of `encode(x).latent_dist.sample()` in train mode.

    There is one lambda a channel. Of `latent_dist` only `sample` changes. `from_pretrained` gives models in eval mode,
    so call `model.train()`; diffusers has no trainer, so call `equalizer.end_epoch()` after each epoch of your own
    loop. The equalizer is a submodule of `model`: `save_pretrained` writes its state too, `from_pretrained` gives a
    plain model.

    Args:
        model: AutoencoderKL or a related class, unwrapped.
        latent_channels: C; by default that of the model's config.

    Source:
        The paper, Eq. 9 and 16.
    """
    _require_posterior(model)
    if any(kind.__name__ == "AutoencoderKLKVAEVideo" for kind in type(model).__mro__):
        raise InputError(
            f"{type(model).__name__} gives every code the noise 1, as its encoder has no log variance, and 1 to the "
            "power of lambda is 1; diagnose_diffusers takes it"
        )
    config: Any = model.config
    channels = latent_channels or next((config[name] for name in _CHANNELS if name in config), None)
    if channels is None:
        raise InputError(f"{type(model).__name__} does not say how many latent channels it has; give latent_channels=")
    equalizer = equalize(model, channels, delta, method="encode", takes="std", dim=1, **settings)
    if "return_dict" in inspect.signature(getattr(model, "tiled_encode", len)).parameters:  # else it returns numbers
        equalizer.also(model, "tiled_encode")
    return equalizer


def _require_posterior(model: nn.Module) -> None:
    name = type(model).__name__
    if any(kind.__name__ in OWN_GAUSSIANS for kind in type(model).__mro__):
        return
    # The class that an `encode` makes is not known before it runs, but whether its module imports the class is.
    encoders = (inspect.unwrap(vars(kind)["encode"]) for kind in type(model).__mro__ if "encode" in vars(kind))
    files = (getattr(encode, "__globals__", {}) for encode in encoders)
    if not any(names.get("DiagonalGaussianDistribution") is DiagonalGaussianDistribution for names in files):
        raise InputError(
            f"{name} has no encode(x).latent_dist with a DiagonalGaussianDistribution of diffusers; give an "
            "AutoencoderKL or one of its kind, unwrapped"
        )
    regularizer = getattr(getattr(model, "config", None), "regularizer", "kl")
    if regularizer != "kl":
        raise InputError(f"{name} has the regularizer {regularizer!r}, which makes no Gaussian posterior; use 'kl'")


def _prior_notes(report: CollapseReport) -> tuple[str, ...]:
    variance = report.signal_power + report.sampling_std.square()
    misfit = report.active & ((variance < 0.5) | (variance > 2.0))
    if not bool(misfit.any()):
        return ()
    low, high = float(variance[misfit].min()), float(variance[misfit].max())
    return (
        f"In {int(misfit.sum())} of {len(variance)} dimensions codes have a variance of {low:.2g} to {high:.2g} over "
        "the data, the prior of 1: reconstructions may be good while decoding N(0, I) gives noise; draw from a "
        "distribution fitted to the codes, as latent diffusion does, or raise the KL weight or delta.",
    )
