"""Small VAEs that draw z in every way people write it: parametrisation of sigma x form of drawing x what is returned.

A `Cell` names one; tests/adapters/drawing_forms.py makes it.
"""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from drawing_widths import NOISES, UNUSUAL, USUAL, WRONG
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

FEATURES, LATENTS, BATCH, SAMPLES = 6, 4, 16, 3
WIDTHS = {**USUAL, **UNUSUAL, **dict.fromkeys(WRONG, USUAL["logvar"])}
#: The shape of x without the batch, and the latent axis; "samples" draws several z of each mu.
SHAPES = {"vectors": ((FEATURES,), -1), "series": ((5, FEATURES), -1), "maps": ((FEATURES, 2, 3), 1)}
SHAPES["samples"] = SHAPES["vectors"]
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


#: Forms that must be refused, and those that may be.
REFUSED = {"twice, unlike"}
EITHER = {"static, by its class", "noise handed in", "twice, alike"}


@dataclass(frozen=True)
class Cell:
    """One way to draw."""

    width: str = "logvar"
    form: str = "method"
    returned: str = "z"
    noise: str = "randn_like"
    names: str = "mu, s"
    shape: str = "vectors"
    dtype: str = "float32"
    features: int = FEATURES
    hidden: int = 0

    @property
    def expected(self) -> str:
        """What `equalize` makes of it: "narrowed", "refused" or, where both are honest, "either"."""
        if self.width == "numpy's noise" and self.form.startswith("inline"):
            return "either"  # it is normal, and nothing has to be drawn again to see that
        if self.width == "sigma = 1" and self.form in ("encoder", "encode") and self.returned == "z, p, q":
            return "either"  # p says that sigma is 1, and 1 it is
        if self.width in WRONG or self.form in REFUSED:
            return "refused"
        if self.width == "log_std" and self.names in ("mu, logvar", "z_mean, log_sigma_sq"):
            return "refused"  # exp(logvar) for a std: the likeliest bug of all
        if self.form in ("encoder", "encode") and self.returned in ("z", "z, noise", "z, std"):
            return "refused"  # mu is nowhere to be seen
        either = self.width in UNUSUAL or self.form in EITHER or self.returned in MIXED
        either |= self.returned == "z, noise" and self.noise == "Normal(mu, std).rsample()"  # eps made of z
        either |= self.shape == "samples" and self.form.startswith("inline")
        return "either" if either else "narrowed"


Tuple = namedtuple("Tuple", "z mean std")


@dataclass
class Record:
    mean: Tensor
    logvar: Tensor
    z: Tensor


class Drawn(NamedTuple):
    """What a sampler has in hand when it has drawn."""

    mu: Tensor
    argument: Tensor
    std: Tensor
    eps: Tensor
    z: Tensor


#: What a sampler returns of it, where z is in that, and what of it a host's KL takes, as the std.
RETURNS = {
    "z": (lambda d: d.z, lambda r: r, None),
    "z, noise": (lambda d: (d.z, d.eps), lambda r: r[0], None),
    "z, std": (lambda d: (d.z, d.std), lambda r: r[0], lambda r: r[1]),
    "mu, width, z": (lambda d: (d.mu, d.argument, d.z), lambda r: r[2], None),
    "[z, mu, std]": (lambda d: [d.z, d.mu, d.std], lambda r: r[0], lambda r: r[2]),
    "distribution, z": (lambda d: (Normal(d.mu, d.std), d.z), lambda r: r[1], lambda r: r[0].scale),
    "z, p, q": (
        lambda d: (d.z, Normal(torch.zeros_like(d.mu), 1.0), Normal(d.mu, d.std)),
        lambda r: r[0],
        lambda r: r[2].scale,
    ),
    "dict": (lambda d: {"mean": d.mu, "std": d.std, "z": d.z}, lambda r: r["z"], lambda r: r["std"]),
    "namedtuple": (lambda d: Tuple(d.z, d.mu, d.std), lambda r: r.z, lambda r: r.std),
    "dataclass": (lambda d: Record(d.mu, 2 * d.std.log(), d.z), lambda r: r.z, lambda r: torch.exp(0.5 * r.logvar)),
    "z, (mu, std)": (lambda d: (d.z, (d.mu, d.std)), lambda r: r[0], lambda r: r[1][1]),
    "z, ln q(z)": (lambda d: (d.z, Normal(d.mu, d.std).log_prob(d.z)), lambda r: r[0], None),
}
#: Where something beside z depends on the noise and is no noise.
MIXED = {"z, ln q(z)"}


class Draw:
    """The sampler's arithmetic; keeps every z that it made in `made`."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.generator, self.made = cell, torch.Generator().manual_seed(3), []

    def drawn(self, mu: Tensor, argument: Tensor, std: Tensor | None = None) -> Drawn:
        std = WIDTHS[self.cell.width].std(argument) if std is None else std
        size = (SAMPLES, *mu.shape) if self.cell.shape == "samples" else tuple(mu.shape)
        if self.cell.width in WRONG:
            z = WRONG[self.cell.width](mu.expand(size), std.expand(size))
            eps = ((z - mu) / std).detach()
        else:
            eps, z = NOISES[self.cell.noise](mu, std, size, self.generator)
        self.made.append(z)
        return Drawn(mu, argument, std, eps, z)

    def __call__(self, mu: Tensor, argument: Tensor) -> Any:
        return RETURNS[self.cell.returned][0](self.drawn(mu, argument))


class Heads(nn.Module):
    """x -> (mu, argument), in axis `dim`."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell, self.dim = cell, SHAPES[cell.shape][1]
        self.body = nn.Sequential(nn.Linear(cell.features, cell.hidden), nn.Tanh()) if cell.hidden else nn.Identity()
        width = cell.hidden or cell.features
        self.mean, self.raw = nn.Linear(width, LATENTS), nn.Linear(width, LATENTS)
        # sigma of 0.3 to 0.6 for the most part, and above 1 in the last dimension
        with torch.no_grad():
            self.raw.weight.mul_(0.7)
            self.raw.bias.copy_(WIDTHS[cell.width].of_std(torch.tensor([0.3, 0.4, 0.6, 1.3])))

    def forward(self, x: Tensor) -> Any:
        x = self.body(x.movedim(self.dim, -1))
        mu, raw = self.mean(x).movedim(-1, self.dim), self.raw(x).movedim(-1, self.dim)
        return mu, WIDTHS[self.cell.width].argument(raw)


class Decoder(nn.Module):
    """Keeps what entered."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.dim, self.entered = SHAPES[cell.shape][1], []
        hidden = [nn.Linear(LATENTS, cell.hidden), nn.Tanh()] if cell.hidden else []
        self.out = nn.Sequential(*hidden, nn.Linear(cell.hidden or LATENTS, cell.features))

    def forward(self, z: Tensor, shift: Tensor | None = None) -> Tensor:
        self.entered.append(z)
        out = self.out(z.movedim(self.dim, -1)).movedim(-1, self.dim)
        return out if shift is None else out + shift


class Host(nn.Module):
    """Encoder, a draw by self.reparameterize, decoder; forward gives everything that a user may train on."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell, self.dim, self.draw = cell, SHAPES[cell.shape][1], Draw(cell)
        self.encoder, self.decoder = Heads(cell), Decoder(cell)

    def returned(self, x: Tensor) -> tuple[Any, Tensor, Tensor]:
        mu, argument = self.encoder(x)
        return self.sampled(mu, argument), mu, argument

    def sampled(self, mu: Tensor, argument: Tensor) -> Any:
        return self.reparameterize(*self.ordered(mu, argument))

    def ordered(self, mu: Tensor, argument: Tensor) -> tuple[Tensor, Tensor]:
        """The two as the method takes them."""
        return (argument, mu) if self.cell.names == "std, mean" else (mu, argument)

    def forward(self, x: Tensor) -> dict[str, Any]:
        returned, mu, argument = self.returned(x)
        _, z, std = RETURNS[self.cell.returned]
        kl = self.kl(mu, std(returned) if std else self.std(argument))
        return self.trained(x, z(returned), kl, returned)

    def std(self, argument: Tensor) -> Tensor:
        return WIDTHS[self.cell.width].std(argument)

    def kl(self, mu: Tensor, std: Tensor) -> Tensor:
        return 0.5 * (mu.square() + std.square() - 2 * std.log() - 1).sum(self.dim)

    def trained(self, x: Tensor, z: Tensor, kl: Tensor, returned: Any) -> dict[str, Any]:
        out = self.decoded(z, x)
        loss = (out - x).square().mean() + 0.1 * kl.mean()
        return {"loss": loss, "out": out, "kl": kl, "returned": returned}

    def decoded(self, z: Tensor, x: Tensor) -> Tensor:
        return self.decoder(z)

    def step(self, x: Tensor) -> dict[str, Any]:
        """What a loop calls."""
        return self(x)


class Whole(nn.Module):
    """A model that has the VAE as a part."""

    def __init__(self, part: Host) -> None:
        super().__init__()
        self.vae = part

    def forward(self, x: Tensor) -> dict[str, Any]:
        return self.vae(x)

    def step(self, x: Tensor) -> dict[str, Any]:
        return self(x)


class DrawingEncoder(nn.Module):
    def __init__(self, heads: Heads, made: Any) -> None:
        super().__init__()
        self.heads, self.made = heads, made

    def forward(self, x: Tensor) -> Any:
        return self.made(*self.heads(x))


def batch(cell: Cell, seed: int, size: int = BATCH) -> Tensor:
    """x."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, *SHAPES[cell.shape][0], generator=generator).to(DTYPES[cell.dtype])


def part(host: nn.Module) -> Host:
    """The VAE in it."""
    return host.vae if isinstance(host, Whole) else host


def truth(host: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """mu and sigma of the encoder, with their gradients."""
    inner = part(host)
    heads = inner.encoder.heads if isinstance(inner.encoder, DrawingEncoder) else inner.encoder
    mu, argument = heads(x)
    return mu, torch.ones_like(mu) if inner.cell.width == "sigma = 1" else WIDTHS[inner.cell.width].std(argument)


def flattened(value: Any) -> list[Tensor]:
    """Every tensor in what a host returns."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Distribution):
        inner = value.base_dist if isinstance(value, Independent) else value
        return [inner.loc, inner.scale]
    if isinstance(value, dict):
        value = list(value.values())
    elif isinstance(value, Record):
        value = [value.mean, value.logvar, value.z]
    return [one for part in value for one in flattened(part)] if isinstance(value, list | tuple) else []
