"""Image files into pixels: decoded, and brought to the size and the colours that were asked for."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from lambda_vae.errors import InputError

__all__ = ["Colour", "ImageOptions", "Unfit", "centre_square", "decode"]

Colour = Literal["kept", "grey", "rgb"]
Unfit = Literal["refuse", "skip"]

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, UnidentifiedImageError, Image.DecompressionBombError)


@dataclass(frozen=True)
class ImageOptions:
    """What is done to image files before they are stored.

    Args:
        size: Height and width: the largest centred square is cut out and resized; None keeps all as it is.
        colour: "grey" or "rgb" turns all into that, "kept" leaves each as it is.
        unfit: What becomes of a file that is broken, or unlike the first one: "refuse" ends with its name, "skip"
            leaves it out.

    Raises:
        InputError: A size below 1.

    Example:
        >>> ImageOptions(size=64, colour="rgb").note
        '; centred squares resized to 64x64; as rgb'
    """

    size: int | None = None
    colour: Colour = "kept"
    unfit: Unfit = "refuse"

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise InputError(f"image_size is {self.size}; it must be at least 1; leave it out to keep all as it is")

    @property
    def note(self) -> str:
        """What is done, in words for `Dataset.source`."""
        size = f"; centred squares resized to {self.size}x{self.size}" if self.size else ""
        return size + (f"; as {self.colour}" if self.colour != "kept" else "")


def centre_square(image: Image.Image, size: int, side: int | None = None) -> Image.Image:
    """The centred square, resized; an image that is such a square already is left alone.

    Args:
        image: Of any size.
        size: Height and width of what comes back.
        side: Of the square that is cut out; the image's shorter side if None.
    """
    width, height = image.size
    side = side or min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    cut = image.crop((left, top, left + side, top + side)) if image.size != (side, side) else image
    # Pillow's bilinear filter widens with the scale, so nothing is aliased.
    return cut if side == size else cut.resize((size, size), Image.Resampling.BILINEAR)


def decode(data: Path | bytes, where: str, options: ImageOptions) -> NDArray[np.uint8]:
    """Pixels [H, W] or [H, W, 3], turned upright as a camera noted it; what is transparent is laid on white.

    Args:
        data: A file, or its content.
        where: What it is called in messages.
        options: What is done to it.

    Raises:
        InputError: It is no image, or damaged, or has more than 8 bits a channel, or is several images.
    """
    try:
        with Image.open(BytesIO(data) if isinstance(data, bytes) else data) as image:
            return np.asarray(_fitted(image, where, options))
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"{where} is truncated or not an image ({error}); replace it or remove it") from None


def _fitted(image: Image.Image, where: str, options: ImageOptions) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        raise InputError(
            f"{where} has {image.mode} pixels; only images of 8 bits a channel are read: scale them to it and save PNG"
        )
    # A camera's JPEG may bring small copies of itself along, as frames.
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        raise InputError(
            f"{where} holds {frames} images, an animation or pages; save each as a file, or leave it out with "
            "`unfit_images=skip`"
        )
    image = ImageOps.exif_transpose(image)
    kept = "L" if image.mode in ("1", "L", "LA") else "RGB"
    mode = {"kept": kept, "grey": "L", "rgb": "RGB"}[options.colour]
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    plain = image.convert(mode)
    return plain if options.size is None else centre_square(plain, options.size)
