"""MONAI: VarAutoEncoder and AutoencoderKL, whose loss the user writes."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from lambda_vae.any_vae.batches import ExternalBatches
from lambda_vae.any_vae.behind import device_of
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import image_batch_size, report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import bernoulli, gaussian, laplace, std_of_kl_weight

__all__ = ["diagnose_monai", "equalize_monai"]

_NETS = "VarAutoEncoder", "AutoencoderKL", "SPADEAutoencoderKL"


def diagnose_monai(
    model: Any, images: object, *, loss: str, kl_weight: Any, reduction: str = "mean", **options: Any
) -> CollapseReport:
    """Return every measure of a MONAI autoencoder on some images, and a verdict on each latent with its cause.

    MONAI's networks have no loss, so give yours. "bce" is a Bernoulli likelihood, and the KL keeps its weight. "l1" and
    "mse" imply a noise by the KL weight: a mean of absolute errors over F voxels + kl_weight * KL is an ELBO with
    Laplace noise of scale b = kl_weight * F, one of squared errors with a variance of kl_weight * F / 2. p(x|z) has
    that noise, which the notes name. Perceptual and adversarial terms are no likelihood of x.

    Args:
        model: VarAutoEncoder, AutoencoderKL or a class that inherits from it, such as AutoencoderKlMaisi; unwrapped.
        images: As the model takes them: a tensor [N, C, ...], or batches for several passes, such as a MONAI
            DataLoader; of dicts the key "image", another with x_key=.
        loss: Of the reconstruction: "bce", "l1" or "mse".
        kl_weight: Of the KL, which is summed over all latents of an image.
        reduction: Of the reconstruction over the voxels of an image: "mean", as `L1Loss()` has it, or "sum".

    Raises:
        InputError: Another model, loss or weight, or whatever would make the report wrong.

    Source:
        monai 1.6.1, networks/nets/varautoencoder.py and autoencoderkl.py.
    """
    if loss not in ("bce", "l1", "mse"):
        raise InputError(f"loss is {loss!r}; say which the reconstruction was trained with: 'bce', 'l1' or 'mse'")
    if reduction not in ("mean", "sum") or not isinstance(kl_weight, int | float) or not 0 < kl_weight < math.inf:
        raise InputError(
            f"reduction is {reduction!r} and kl_weight {kl_weight!r}; say 'mean' or 'sum', and a weight greater than 0"
        )
    encode, decode, takes = _halves(model, logits=loss == "bce")
    options.setdefault("batch_size", image_batch_size(images))
    names = (options["x_key"],) if options.get("x_key") else ("image", "x", "data")
    first = ExternalBatches(images, 1, device_of(encode), names).first()
    voxels = 1 if first is None else first[0][0].numel()
    if first is not None:
        _require_shape(model, list(first[0].shape[1:]))
    log_likelihood, weight, noise = _likelihood(loss, decode, kl_weight * (voxels if reduction == "mean" else 1))
    if takes == "std":
        options.setdefault("dim", 1)  # of volumes as well, [B, C, D, H, W]
    stands = f"The {reduction} {loss} with a KL weight of {kl_weight:g}, {voxels} voxels an image, stands for {noise}."
    notes = [stands]
    if not getattr(model, "use_mean_at_inference", True):
        notes.append(
            "In eval mode this VarAutoEncoder's own forward decodes mu + sigma, which no number here does: say "
            "use_mean_at_inference=True."
        )
    return report_on(encode, log_likelihood, images, options, model=model, kl_weight=weight, notes=notes, takes=takes)


def equalize_monai(model: Any, delta: float, **settings: Any) -> HostEqualizer:
    """Return the equalizer that from now on narrows a MONAI autoencoder's draws of z in train mode.

    Call `equalizer.end_epoch()` after each epoch of your loop, or give steps_per_epoch. There is one lambda a latent
    channel. The model's (mu, logvar) or (mu, sigma), of which your loss makes the KL, do not change.

    Args:
        model: VarAutoEncoder, AutoencoderKL or a class that inherits from it, unwrapped.

    Source:
        monai 1.6.1, `VarAutoEncoder.reparameterize` and `AutoencoderKL.sampling`.
    """
    if _halves(model)[2] == "std":
        return equalize(model, model.latent_channels, delta, method="sampling", takes="std", dim=1, **settings)
    return equalize(model, model.latent_size, delta, method="reparameterize", takes="logvar", **settings)


def _likelihood(loss: str, decode: Callable[[Tensor], Tensor], weight: float) -> tuple[Any, float, str]:
    """Log p(x|z) implied by summed errors + weight * KL, the remaining weight of the KL, and both in words."""
    if loss == "bce":
        return bernoulli(decode, logits=True), weight, f"a Bernoulli likelihood and a KL weight of {weight:.3g}"
    if loss == "l1":
        return laplace(decode, scale=weight), 1.0, f"Laplace noise of scale {weight:.3g} and a KL weight of 1"
    std = std_of_kl_weight(weight, reduction="sum")
    return gaussian(decode, std=std), 1.0, f"Gaussian noise of standard deviation {std:.3g} and a KL weight of 1"


def _halves(
    model: Any, logits: bool = False
) -> tuple[Callable[[Tensor], tuple[Tensor, Tensor]], Callable[[Tensor], Tensor], str]:
    """A model's encode, its decode, and the parametrisation of encode's second output."""
    flat, maps, spade = needed("monai", *(f"monai.networks.nets.{name}" for name in _NETS))
    if not isinstance(model, flat | maps) or isinstance(model, spade):
        reason = ", whose decoder wants a segmentation" if isinstance(model, spade) else ""
        raise InputError(
            f"the model is a {type(model).__name__}{reason}; give MONAI's VarAutoEncoder or AutoencoderKL, unwrapped, "
            "or use lambda_vae.diagnose(encode, log_likelihood, images) and equalize(model, latent_dim, delta)"
        )

    def encode(image: Tensor) -> tuple[Tensor, Tensor]:
        mu, width = model.encode_forward(image) if isinstance(model, flat) else model.encode(image)
        return mu, width

    def decode(z: Tensor) -> Tensor:
        if isinstance(model, flat):
            out: Tensor = model.decode_forward(z, model.use_sigmoid and not logits)
        else:
            out = model.decode(z)
        return out

    return encode, decode, "logvar" if isinstance(model, flat) else "std"


def _require_shape(model: Any, image: list[int]) -> None:
    """Refuse images of another shape than the model's."""
    if hasattr(model, "in_shape"):
        wanted: list[Any] = [int(model.in_channels), *(int(size) for size in model.in_shape)]
        fits = image == wanted
    else:
        kernel = next(model.encoder.parameters()).shape  # of a convolution: [out, in, ...]
        wanted = [int(kernel[1]), *["..."] * (len(kernel) - 2)]
        fits = len(image) == len(wanted) and image[0] == wanted[0]
    if not fits:
        raise InputError(
            f"an image is {image}, where this {type(model).__name__} takes {wanted}".replace("'", "")
            + "; give a tensor [N, C, ...] or batches of that shape, as in the training"
        )
