"""Commands that need no run: predictions, theory, data sets."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from rich.table import Table

from lambda_vae import any_vae, data
from lambda_vae.cli.ending import fail
from lambda_vae.data.pictures import Colour, Unfit
from lambda_vae.files import write_json
from lambda_vae.measures.theory import draw_theory, theory_table
from lambda_vae.reports.prediction import prediction_table
from lambda_vae.reports.style import check_ending

__all__ = ["predict", "prepare", "theory", "verify"]


def predict(
    *,
    data: str,
    noise: float | Literal["learned"] | None = None,
    beta: float = 1.0,
    out: Path | None = None,
    json: Path | None = None,
    **settings: Annotated[Any, any_vae.predict, "noise_std", "kl_weight", "batch_size"],
) -> Iterator[str | Table]:
    """Say, before any training, how many latent dimensions a loss can keep alive.

    Args:
        data: a named set, a path or hf:NAME; its training part
        noise: std of the decoder's Gaussian, or learned; a bare squared error, which is 0.7071, if not given
        beta: weight of the KL in the loss
        out: draw survivors against noise: .svg, .pdf or .png
        json: write all numbers there too
    """
    if out is not None:
        check_ending(out)
    found = any_vae.predict(data, noise_std=noise, kl_weight=beta, **settings)
    yield from found.sentences
    yield prediction_table(found.to_dict())
    if json is not None:
        write_json(json, found.to_dict())
    if out is not None:
        yield f"figure: {found.plot(out)}"


def theory(
    delta: Sequence[float] = (1.01, 1.1, 1.19, 1.5, 3.0),
    latent_dim: int = 30,
    max_exponent: float = 20.0,
    out: Path | None = None,
) -> Iterator[str | Table]:
    """What a δ implies: critical std, sampling noise, capacity, λ(σ).

    Args:
        delta: values of δ
        latent_dim: for the predicted capacity
        max_exponent: largest λ
        out: draw the curves to this .svg, .pdf or .png
    """
    table = theory_table(delta, latent_dim, max_exponent)
    if out is not None:  # a path that cannot be written is refused before anything is shown
        draw_theory(delta, max_exponent, out)
    yield table
    if out is not None:
        yield f"figure: {out}"


def prepare(
    names: Sequence[str],
    sequences: data.SequenceOptions,
    image_size: int | None = None,
    image_colour: Colour = "kept",
    unfit_images: Unfit = "refuse",
) -> Iterator[str]:
    """Fetch, check and prepare data sets.

    Args:
        image_size: crop and resize to a square of so many pixels
        image_colour: kept, grey or rgb
        unfit_images: refuse or skip broken and odd files
    """
    for name in names:
        images = data.ImageOptions(image_size, image_colour, unfit_images)
        found = data.load(name, images=images, sequences=sequences)
        counts = f"{len(found.train)} train, {len(found.test)} test"
        yield f"{found.name}: {counts}, shape {found.shape}, sha256 {found.sha256[:16]}"
        yield f"  {found.source}"
        yield from (f"  {line}" for line in data.shown(found))


def verify(names: Sequence[str], sequences: data.SequenceOptions, **settings: Annotated[Any, prepare]) -> Iterator[str]:
    """Check raw and prepared files against their hashes."""
    images, bad = data.ImageOptions(*settings.values()), []
    for name in names:
        for check in data.verify(name, images=images, sequences=sequences):
            yield f"{'ok ' if check.ok else 'BAD'}  {check.what}: {check.detail}"
            bad += [] if check.ok else [check.what]
    if bad:
        fail(f"{len(bad)} checks failed ({', '.join(bad)}); remove those files and prepare the data again")
