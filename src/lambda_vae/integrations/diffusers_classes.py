"""Encoding and decoding by each autoencoder class of diffusers, of which some need their own way.

Source:
    diffusers 0.42.1, models/autoencoders; each as in the class's own `forward`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.any_vae.batches import ExternalBatches
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Batches, first_of

__all__ = ["OWN_GAUSSIANS", "Asked", "asked"]

#: Classes whose posterior is a diagonal Gaussian of their own.
OWN_GAUSSIANS = ("AutoencoderKLMiniMaxH3Audio", "AutoencoderOobleck", "Cosmos3AVAEAudioTokenizer")

#: Names in the classes' configs for the number of channels of x.
_IN_CHANNELS = ("in_channels", "encoder_in_channels", "input_channels", "num_channels", "audio_channels")


@dataclass(eq=False)
class Asked:
    """A model in eval mode, called as its class requires."""

    model: Any
    shape: tuple[int, ...] = ()  # of an example, once one was encoded

    def require_floats(self, images: object, batch_size: int) -> None:
        """Raise if the data are no floats, before they are converted."""
        x = first_of(ExternalBatches(images, batch_size, torch.device("cpu")))
        if isinstance(x, Tensor) and not x.is_floating_point():
            raise InputError(f"images are {x.dtype}; give floats as the model sees them, usually x / 127.5 - 1")

    def data(self, images: object, batch_size: int) -> object:
        """Return the data as the x of p(x|z)."""
        return images

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar, computed in the model's own precision."""
        self._require(x)
        self.shape = tuple(x.shape[1:])
        try:
            q = self.posterior(x.to(_precision(self.model)))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            raise InputError(
                f"{type(self.model).__name__} could not encode images of shape {list(x.shape)} ({str(error)[:120]}); "
                "give them as model.encode takes them, videos as [B, C, T, H, W]"
            ) from error
        return q.mean, q.logvar if hasattr(q, "logvar") else 2.0 * q.std.log()

    def decode(self, z: Tensor) -> Tensor:
        """Return the reconstruction, of the shape of the images that were encoded."""
        decoded = self.reconstruction(z.to(_precision(self.model)))
        if self.shape and tuple(decoded.shape[1:]) != self.shape:
            raise InputError(
                f"{type(self.model).__name__} gives {list(decoded.shape[1:])} back for an example of "
                f"{list(self.shape)}; cut the examples to a size that it gives back, or resize them"
            )
        return decoded

    def posterior(self, x: Tensor) -> Any:
        """Return the model's q(z|x)."""
        return self.model.encode(x).latent_dist

    def reconstruction(self, z: Tensor) -> Tensor:
        """Return the model's reconstruction."""
        return self.model.decode(z).sample

    def notes(self) -> tuple[str, ...]:
        """Return notes on the class for the report."""
        return ()

    def _require(self, x: Tensor) -> None:
        name, channels = _channels(self.model)
        if channels is not None and (x.dim() < 3 or x.shape[1] != channels):
            raise InputError(
                f"images have shape {list(x.shape)}; {type(self.model).__name__} takes [B, {channels}, ...], "
                f"by its {name}"
            )


class _OneByOne(Asked):
    """A class that fails on more than one example at once."""

    def posterior(self, x: Tensor) -> Any:
        every = [self.model.encode(part).latent_dist for part in torch.split(x, 1)]
        return type(every[0])(torch.cat([one.parameters for one in every]))

    def reconstruction(self, z: Tensor) -> Tensor:
        return torch.cat([self.model.decode(part).sample for part in torch.split(z, 1)])


class _Allegro(_OneByOne):
    """It encodes tile by tile, omits what no tile covers, and returns the frames before the channels."""

    def reconstruction(self, z: Tensor) -> Tensor:
        return super().reconstruction(z).transpose(1, 2)

    def _require(self, x: Tensor) -> None:
        super()._require(x)
        if not self.model.use_tiling:
            raise InputError("AutoencoderKLAllegro encodes in tiles alone; call model.enable_tiling() before")
        tiles = zip(x.shape[2:], self.model.kernel, self.model.stride, strict=True)
        if any(size < tile or (size - tile) % step for size, tile, step in tiles):
            raise InputError(
                f"images have shape {list(x.shape)}; AutoencoderKLAllegro leaves out what its tiles do not cover: each "
                f"of the last three must be one of {self.model.kernel} and a multiple of {self.model.stride} more"
            )


class _VidTok(Asked):
    """Its `forward` pads the frames before it encodes, and `decode` returns a tensor."""

    def posterior(self, x: Tensor) -> Any:
        model = self.model
        step, first = (
            (model.temporal_compression_ratio, 1) if model.is_causal else (model.num_sample_frames_batch_size, 0)
        )
        frames, front = x.shape[2], step - 1 if model.is_causal else 0
        behind = (first - frames) % step
        head, tail = x[:, :, :1].expand(-1, -1, front, -1, -1), x[:, :, -1:].expand(-1, -1, behind, -1, -1)
        return model.encode(torch.cat((head, x, tail), 2)).latent_dist

    def reconstruction(self, z: Tensor) -> Tensor:
        decoded: Tensor = self.model.decode(z)
        return decoded[:, :, : self.shape[1]]


class _TemporalDecoder(Asked):
    """Its batch is frames: a clip [C, T, H, W] is an example, and so is an image, as a clip of one frame."""

    def posterior(self, x: Tensor) -> Any:
        if x.dim() == 4:
            return self.model.encode(x).latent_dist
        q = self.model.encode(x.transpose(1, 2).flatten(0, 1)).latent_dist
        return type(q)(q.parameters.unflatten(0, (len(x), x.shape[2])).transpose(1, 2))

    def reconstruction(self, z: Tensor) -> Tensor:
        if z.dim() == 4:
            return self.model.decode(z, num_frames=1).sample
        frames: Tensor = self.model.decode(z.transpose(1, 2).flatten(0, 1), num_frames=z.shape[2]).sample
        return frames.reshape(len(z), z.shape[2], *frames.shape[1:]).transpose(1, 2)


class _Waveform(Asked):
    """It pads sound to a whole number of hops, and returns the padding too."""

    def reconstruction(self, z: Tensor) -> Tensor:
        return super().reconstruction(z)[..., : self.shape[-1]]


class _FixedNoise(Asked):
    """Its encoder has no log variance, and its posterior has zeros there."""

    def notes(self) -> tuple[str, ...]:
        return (
            f"{type(self.model).__name__} gives every code the noise 1: its encoder has no log variance, and whoever "
            "uses latent_dist.mode() uses no noise at all.",
        )


class _Mel(Asked):
    """It encodes sound and decodes its mel spectrogram, which is the x of the likelihood."""

    def data(self, images: object, batch_size: int) -> object:
        return Batches(ExternalBatches(images, batch_size, self.model.device), self._mel)

    def _mel(self, sound: Tensor) -> Tensor:
        if sound.dim() != 2:
            raise InputError(f"sound has shape {list(sound.shape)}; MMAudioVAE takes floats [B, samples] in [-1, 1]")
        with torch.no_grad():
            mel: Tensor = self.model.mel_converter(sound)
        return mel

    def posterior(self, x: Tensor) -> Any:
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

        return DiagonalGaussianDistribution(self.model.vae.encode(x))

    def notes(self) -> tuple[str, ...]:
        return (
            "MMAudioVAE decodes a mel spectrogram: every likelihood here is one of the spectrogram, not of the sound.",
        )


_WAYS: dict[str, type[Asked]] = {
    "AutoencoderKLAllegro": _Allegro,
    "AutoencoderKLHunyuanVideo15": _OneByOne,
    "AutoencoderKLKVAEAudio": _Waveform,
    "AutoencoderKLMiniMaxH3Audio": _Waveform,
    "AutoencoderKLKVAEVideo": _FixedNoise,
    "AutoencoderKLTemporalDecoder": _TemporalDecoder,
    "AutoencoderVidTok": _VidTok,
    "MMAudioVAE": _Mel,
}


def asked(model: Any, draws: int = 1) -> Asked:
    """Return a model as its class requires to be called."""
    _refuse(model, draws)
    ways = (_WAYS[kind.__name__] for kind in type(model).__mro__ if kind.__name__ in _WAYS)
    return next(ways, Asked)(model)


def _refuse(model: Any, draws: int) -> None:
    name, config = type(model).__name__, model.config
    injects = any(getattr(config, "decoder_inject_noise", ()) or ())
    if (name == "ConsistencyDecoderVAE" or injects) and draws < 2:
        how = "injects noise into its decoder (decoder_inject_noise)" if injects else "draws its images in decode"
        raise InputError(
            f"{name} {how}, so that log p(x|z) differs from call to call; say draws=8 to have its mean over 8 calls"
        )
    if name == "Cosmos3AVAEAudioTokenizer":
        raise InputError(
            f"{name} divides sound by the loudest sample of its whole batch and gives it back as loud as that, so that "
            "no example has a likelihood of its own; normalise the volume yourself and give "
            "diagnose(encode, gaussian(model.decode, std=std), data, dim=1) with model.config.normalize_volume off"
        )
    if getattr(config, "timestep_conditioning", False):
        raise InputError(
            f"{name} decodes at a timestep (timestep_conditioning); fix one: diagnose(lambda x: (q := "
            "model.encode(x).latent_dist) and (q.mean, q.logvar), gaussian(lambda z: model.decode(z, temb).sample, "
            "std=std), images, dim=1)"
        )


def _precision(model: nn.Module) -> torch.dtype:
    return next((one.dtype for one in model.parameters() if one.is_floating_point()), torch.float32)


def _channels(model: Any) -> tuple[str, int | None]:
    """Number of channels of x, and its name in the config."""
    config = model.config
    if type(model).__name__ == "AutoencoderKLMochi":  # its encoder's own Fourier features are counted in in_channels
        return "out_channels", int(config.out_channels)
    name = next((one for one in _IN_CHANNELS if one in config), None)
    if name is None:
        return "", None
    patch = getattr(config, "patch_size", None) if type(model).__name__ in _PATCHED else None
    return (name, int(config[name])) if patch is None else (f"{name} and patch_size", config[name] // patch**2)


#: Classes whose config counts the channels of x after it is divided into patches.
_PATCHED = ("AutoencoderKLWan", "AutoencoderKLQwenImage21")
