"""Learned bijections of z, conditioned on what the encoder says; every one begins as the identity."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from lambda_vae.distributions.base import at_least_float32
from lambda_vae.distributions.transformed import Bijection
from lambda_vae.errors import InputError

__all__ = ["AffineFlow", "PlanarFlow", "SplineFlow"]


def _zuko() -> Any:  # noqa: ANN401 - a module without types
    # Imported when a flow is made, for importing it switches off the checks of torch.distributions.
    checks = Distribution._validate_args
    import zuko

    Distribution.set_default_validate_args(checks)
    return zuko


#: Of exp(a) in one layer; its inverse is the greatest.
_LEAST_SCALE = 0.1


class AffineFlow(nn.Module):
    """Layers y_i = exp(a_i) z_i + b_i, where a and b of a dimension come from the dimensions before it and from h.

    Every second layer reads the dimensions backwards.

    Args:
        latent_dim: D.
        context: Length of h; 0 for none.
        layers: How many, >= 1.
        hidden: Widths of the masked network in each.
        passes: Groups of dimensions: D is fully autoregressive, 2 is coupling. So many passes the inverse takes; the
            forward direction takes one.

    Raises:
        InputError: A width below 1 or no layers.

    Source:
        Kingma et al. 2016, arXiv:1606.04934, Eq. 10, and Dinh et al. 2017, arXiv:1605.08803, Eq. 7 and 8, through the
        masked networks of Papamakarios et al. 2017, arXiv:1705.07057. Deviations: exp(a) stays between 0.1 and
        10; the last weights begin at 0, so that the flow begins as the identity.
    """

    def __init__(self, latent_dim: int, context: int, layers: int, hidden: tuple[int, ...], passes: int) -> None:
        super().__init__()
        _require(layers, hidden)
        # Bounded scales and bounded networks: far from the data both are constants, and the tails stay Gaussian. With
        # ReLU a prior of little training throws one draw in seven beyond 9, some beyond 1e6.
        network = {"hidden_features": hidden, "activation": nn.Tanh} if latent_dim > 1 or context else {}
        univariate = partial(_zuko().transforms.MonotonicAffineTransform, slope=_LEAST_SCALE)
        # At the last, weight and bias of the network; a single dimension without h has its two numbers and no more.
        self.layers = _identities(latent_dim, context, layers, 2, passes=passes, univariate=univariate, **network)

    def forward(self, h: Float[Tensor, "B H"] | None = None) -> Bijection:
        """Return the map under h, the encoder's output; None where there is no context."""
        return _Layered(tuple(self.layers), None if h is None else at_least_float32(h))


class SplineFlow(nn.Module):
    """Layers y_i = s_i(z_i), where s_i is a rising spline that comes from the dimensions before; no context.

    Every second layer reads the dimensions backwards. Slower than an affine flow, and able to part clusters.

    Args:
        latent_dim: D.
        layers: How many, >= 1.
        hidden: Widths of the masked network in each.
        bins: Pieces of each spline between -5 and 5; beyond, it is the identity.

    Raises:
        InputError: A width below 1 or no layers.

    Source:
        Durkan et al. 2019, arXiv:1906.04032, the autoregressive form. Deviation: the last weights begin at 0, so that
        the flow begins as the identity.
    """

    def __init__(self, latent_dim: int, layers: int, hidden: tuple[int, ...], bins: int = 8) -> None:
        super().__init__()
        _require(layers, hidden)
        network = {"hidden_features": hidden} if latent_dim > 1 else {}
        spline, shapes = _zuko().transforms.MonotonicRQSTransform, [(bins,), (bins,), (bins - 1,)]
        zeroed = 2 if latent_dim > 1 else 3
        self.layers = _identities(latent_dim, 0, layers, zeroed, univariate=spline, shapes=shapes, **network)

    def forward(self) -> Bijection:
        """Return the map."""
        return _Layered(tuple(self.layers), None)


def _identities(
    latent_dim: int,
    context: int,
    layers: int,
    zeroed: int,
    **options: Any,  # noqa: ANN401 - of zuko's
) -> nn.ModuleList:
    """Masked layers that read the dimensions forwards and backwards in turn, their last parameters 0."""
    order = torch.arange(latent_dim)
    made = nn.ModuleList(
        _zuko().flows.MaskedAutoregressiveTransform(
            latent_dim, context, order=order.flip(0) if layer % 2 else order, **options
        )
        for layer in range(layers)
    )
    for transform in made:
        for parameter in list(transform.parameters())[-zeroed:]:
            nn.init.zeros_(parameter)
    return made


@dataclass(frozen=True, eq=False)
class _Layered:
    """Layers of zuko's under one h."""

    layers: tuple[Any, ...]
    h: Tensor | None

    def forward(self, z: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        log_volume = torch.zeros_like(z[..., 0])
        with torch.autocast(z.device.type, enabled=False):  # no density is computed in reduced precision
            for layer in self.layers:
                z, more = layer(self.h).call_and_ladj(z)
                log_volume = log_volume + more
        return z, log_volume

    def inverse(self, y: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        z = y
        with torch.autocast(y.device.type, enabled=False):
            for layer in reversed(self.layers):
                z = layer(self.h).inv(z)
        return z, -self.forward(z)[1]


#: Least value of 1 + w.u, in place of 0: how near a planar layer may come to folding space.
_MARGIN = 1e-3


class PlanarFlow(nn.Module):
    r"""Layers y = z + u tanh(w.z + b), with u, w and b linear in h.

    Args:
        latent_dim: D.
        context: Length of h.
        layers: How many, >= 1.

    Raises:
        InputError: No layers.

    Source:
        Rezende and Mohamed 2015, arXiv:1505.05770, Eq. 10 to 12, and Appendix A.1 for what keeps a layer invertible.
        Deviation: their m(x) = softplus(x) - 1 is shifted so that m(0) = 0: with u = 0, where u begins, the layer is
        the identity.
    """

    def __init__(self, latent_dim: int, context: int, layers: int) -> None:
        super().__init__()
        _require(layers, ())
        self.u = nn.Linear(context, layers * latent_dim)
        self.w = nn.Linear(context, layers * latent_dim)
        self.b = nn.Linear(context, layers)
        nn.init.zeros_(self.u.weight)
        nn.init.zeros_(self.u.bias)

    def forward(self, h: Float[Tensor, "B H"]) -> Bijection:
        """Return the map under h, the encoder's output."""
        layers = self.b.out_features
        with torch.autocast(h.device.type, enabled=False):
            h = at_least_float32(h)
            u, w = (part(h).unflatten(-1, (layers, -1)).unbind(-2) for part in (self.u, self.w))
            b = self.b(h).unbind(-1)
        return _Planar(tuple(_Plane.of(*parts) for parts in zip(u, w, b, strict=True)))


@dataclass(frozen=True, eq=False)
class _Plane:
    """One layer: u [B, D], w [B, D], b [B], and w.u [B], which is greater than -1."""

    u: Tensor
    w: Tensor
    b: Tensor
    wu: Tensor

    @classmethod
    def of(cls, u: Tensor, w: Tensor, b: Tensor) -> "_Plane":
        """Return the layer whose u is moved along w until w.u = m(w.u)."""
        shift = math.log(math.expm1(1.0 - _MARGIN))
        wu = (w * u).sum(-1)
        m = softplus(wu + shift) - softplus(torch.full_like(wu, shift))
        along = w / w.square().sum(-1, keepdim=True).clamp(min=1e-12)
        return cls(u + (m - wu)[..., None] * along, w, b, m)

    def log_volume(self, bent: Tensor) -> Tensor:
        """Return ln |dy/dz| where the tanh is `bent`."""
        return torch.log1p((1.0 - bent.square()) * self.wu)

    def across(self, y: Tensor) -> Tensor:
        """w.z + b of the z that gives y: the root of s + w.u tanh(s) = w.y + b, which rises in s."""
        goal = (self.w * y).sum(-1) + self.b
        with torch.no_grad():
            low, high = goal - self.wu.abs(), goal + self.wu.abs()
            for _ in range(60):
                middle = 0.5 * (low + high)
                over = middle + self.wu * middle.tanh() > goal
                low, high = torch.where(over, low, middle), torch.where(over, middle, high)
            root = 0.5 * (low + high)
            slope = 1.0 + self.wu * (1.0 - root.tanh().square())
        # A last step of Newton's carries the gradient.
        return root - (root + self.wu * root.tanh() - goal) / slope


@dataclass(frozen=True, eq=False)
class _Planar:
    """A planar flow under one h."""

    planes: tuple[_Plane, ...]

    def forward(self, z: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        log_volume = torch.zeros_like(z[..., 0])
        for plane in self.planes:
            bent = torch.tanh((plane.w * z).sum(-1) + plane.b)
            z, log_volume = z + plane.u * bent[..., None], log_volume + plane.log_volume(bent)
        return z, log_volume

    def inverse(self, y: Float[Tensor, "*sample D"]) -> tuple[Tensor, Tensor]:
        log_volume = torch.zeros_like(y[..., 0])
        for plane in reversed(self.planes):
            bent = torch.tanh(plane.across(y))
            y, log_volume = y - plane.u * bent[..., None], log_volume - plane.log_volume(bent)
        return y, log_volume


def _require(layers: int, hidden: tuple[int, ...]) -> None:
    if layers < 1:
        raise InputError(f"flow_layers is {layers}; a flow needs at least 1")
    if any(width < 1 for width in hidden):
        raise InputError(f"flow_hidden is {list(hidden)}; every width must be at least 1")
