"""Pyro: lambda in the guide of an SVI, and the report on a model and its guide."""

import copy
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from lambda_vae.any_vae._diagnose import diagnose
from lambda_vae.any_vae.batches import ExternalBatches
from lambda_vae.any_vae.behind import device_of
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.distributions.base import at_least_float32
from lambda_vae.equalization import narrowing
from lambda_vae.equalizing import EqualizedNormal as TorchEqualizedNormal
from lambda_vae.equalizing import HostEqualizer
from lambda_vae.equalizing.draws import DrawSite
from lambda_vae.errors import InputError
from lambda_vae.integrations.tested import needed

needed("pyro", "pyro.poutine.Trace", "pyro.infer.SVI", "pyro.infer.TraceMeanField_ELBO")  # raises if one is missing

from pyro import poutine  # noqa: E402
from pyro.distributions.torch_distribution import TorchDistributionMixin  # noqa: E402
from pyro.distributions.util import scale_and_mask  # noqa: E402
from pyro.infer import SVI, JitTraceMeanField_ELBO, TraceMeanField_ELBO  # noqa: E402
from pyro.poutine import Trace  # noqa: E402
from pyro.poutine.messenger import Messenger  # noqa: E402
from pyro.poutine.util import prune_subsample_sites  # noqa: E402

__all__ = ["EqualizedNormal", "diagnose_pyro", "equalize_pyro", "require_mean_field"]

#: What Pyro does with a density before it enters an objective: shapes, plates, masks, and a check for NaN.
_BOOKKEEPING = {
    "__bool__", "__eq__", "__get__", "__repr__", "any", "contiguous", "dim", "eq", "expand", "isinf", "isnan", "mul",
    "new_zeros", "permute", "register_hook", "reshape", "size", "squeeze", "sum", "unsqueeze", "where", "zeros_like",
}  # fmt: skip


class _NoDensity(Tensor):
    """ln q_1(z) at a draw from q_lambda, which Pyro may compute and no objective may use."""

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func.__name__ not in _BOOKKEEPING:
            raise InputError(
                "an objective used log q(z) of an EqualizedNormal at its own sample, which is not the density that z "
                "was drawn from; train with TraceMeanField_ELBO, and a prior whose KL from a Normal Pyro knows in "
                "closed form, such as Normal(0, 1).to_event(1)"
            )
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


class EqualizedNormal(TorchEqualizedNormal, TorchDistributionMixin):  # type: ignore[misc] # expand, as Pyro's own do
    """`lambda_vae.EqualizedNormal` for a Pyro guide; Monte Carlo objectives cannot use the density of its draws.

    Its KL stays that of Normal(loc, scale), which TraceMeanField_ELBO uses. An objective that estimates the KL as
    log q(z) - log p(z) is not lambda-VAE's: its first use of log q(z) raises, whatever the exponent.

    Args:
        loc: mu.
        scale: sigma, > 0.
        exponent: lambda, >= 1, such as `equalizer.exponent`.
        validate_args: As for Normal.

    Raises:
        InputError: An exponent below 1.

    Example:
        >>> q = EqualizedNormal(torch.zeros(2, 3), torch.full((3,), 0.5), exponent=2.0).to_event(1)
        >>> q.batch_shape, q.event_shape, q.base_dist.sampling_std[0, 0]
        (torch.Size([2]), torch.Size([3]), tensor(0.2500))
    """

    _drawn: Tensor | None = None

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as torch has it
        """Return loc + scale^exponent * eps."""
        z = super().rsample(sample_shape)
        self._drawn = z.detach()
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log density of Normal(loc, scale); at its own sample, one that no objective can use."""
        return _scored(super().log_prob, self._drawn, value)


def _scored(host: Callable[[Tensor], Tensor], drawn: Tensor | None, value: Tensor) -> Tensor:
    log_q = host(value)
    return log_q.as_subclass(_NoDensity) if drawn is not None and value.data_ptr() == drawn.data_ptr() else log_q


def require_mean_field(loss: object) -> None:
    """Raise unless an ELBO, or that of an SVI, takes the KL in closed form.

    Args:
        loss: An SVI or an ELBO.

    Raises:
        InputError: It estimates the KL from samples, or is compiled.

    Example:
        >>> require_mean_field(TraceMeanField_ELBO())
    """
    elbo = getattr(getattr(loss, "loss", loss), "__self__", getattr(loss, "loss", loss))
    name = getattr(elbo, "__qualname__", type(elbo).__name__)
    if isinstance(elbo, JitTraceMeanField_ELBO):
        raise InputError(f"the loss is {name}, which is compiled once, with one lambda; use TraceMeanField_ELBO()")
    if not isinstance(elbo, TraceMeanField_ELBO):
        raise InputError(
            f"the loss is {name}, which estimates the KL from samples of the guide, and those are drawn with "
            "sigma^lambda; use TraceMeanField_ELBO(), whose KL is that of sigma"
        )


def equalize_pyro(
    svi: object, latent_dim: int, delta: float, *, site: str = "latent", **settings: Any
) -> HostEqualizer:
    """Return the equalizer that from now on narrows the noise of a guide's site in each `svi.step`.

    The guide draws z, and the draw is then narrowed: z' = mu + sigma^(lambda - 1) (z - mu). Model, guide, optimizer and
    the site's distribution do not change; `svi.evaluate_loss` and other uses of the guide draw with sigma, and at
    delta = inf every number of the training stays bit for bit the same. What `poutine.mask` masks is not observed. Call
    `equalizer.end_epoch()` after each training epoch, or give steps_per_epoch, and save `equalizer.state_dict()` with
    the parameter store in a checkpoint; `equalizer.remove()` restores the SVI.

    A guide with several latents gets one equalizer a site, each by its own call; a second call for the same site
    returns the first's equalizer.

    Args:
        svi: An SVI with a TraceMeanField_ELBO.
        latent_dim: D.
        delta: The trade-off, > 1.
        site: The guide's; a Normal, alone or with `to_event`.
        settings: Of `VarianceEqualizer`, such as release_epochs.

    Raises:
        InputError: The loss estimates its KL from samples, or the site is equalized with other settings; in the first
            step, the guide has no such site, no Normal there, or a mask that differs between latent dimensions.
    """
    if not isinstance(svi, SVI):
        raise InputError(f"svi is a {type(svi).__name__}; for another loop use EqualizedNormal in the guide")
    require_mean_field(svi)
    asked = {"latent_dim": latent_dim, "delta": delta, **settings}
    for held in _sites(svi):
        if held.name == site:
            held.equalizer.require_same(f"the site {site!r}", asked, host="SVI")
            return held.equalizer
    equalizer = HostEqualizer(latent_dim, delta, **settings).to(device_of(svi.guide))
    equalizer.asked = asked
    equalizer.hold(_Site(svi, equalizer, site), equalizer, None)
    return equalizer


class _Site(Messenger):
    """loss_and_grads of an SVI, with the draw at one site of the guide narrowed.

    It is the outermost messenger around the guide, so that it sees a finished draw before the trace records it.
    """

    def __init__(self, svi: SVI, equalizer: HostEqualizer, name: str) -> None:
        super().__init__()
        self.svi, self.equalizer, self.name = svi, equalizer, name
        self.site = DrawSite(equalizer, equalizer, f"the guide's {name!r}")
        self.site.reads("z is the draw, mu and sigma are those of its Normal")
        self.seen: list[str] | None = None  # the sites of the running guide so far
        self.observed = False
        self.host, svi.loss_and_grads = svi.loss_and_grads, self

    def __call__(self, model: Any, guide: Callable[..., Any], *args: Any, **named: Any) -> Any:  # type: ignore[override]
        def checked(*args: Any, **named: Any) -> Any:
            self.seen = []
            try:
                out = guide(*args, **named)
                if not self.seen or self.name in self.seen:  # Pyro hides a run in which it counts plates
                    return out
                known = ", ".join(self.seen)
            finally:
                self.seen = None
            raise InputError(f"the guide has no site {self.name!r}; it has {known}: say equalize_pyro(..., site=)")

        self.observed = False
        with self:
            return self.host(model, checked, *args, **named)

    def _pyro_post_sample(self, msg: dict[str, Any]) -> None:
        if self.seen is None or msg["is_observed"] or not isinstance(msg["fn"], Distribution):
            return
        self.seen.append(msg["name"])
        if msg["name"] == self.name and self.equalizer.training:
            self._narrow(msg)

    def _narrow(self, msg: dict[str, Any]) -> None:
        q, events = _normal(msg["fn"], f"the guide's {self.name!r}")
        mu, std, z = q.loc, q.scale, msg["value"]
        if not self.observed:  # the particles of a step are one observation
            self.equalizer.observe(std, mu, _counted(msg["mask"], std, events, self.equalizer.dim))
            self.observed = True
        if self.equalizer.narrows:
            factor, mean = narrowing(std, self.equalizer.exponent_for(std)), at_least_float32(mu)
            z = torch.where(factor == 1.0, z, (mean + factor * (at_least_float32(z) - mean)).to(z.dtype))
        for watcher in self.site.watchers:
            z = watcher(mu, std, z, self.equalizer.exponent)
        fn = copy.copy(msg["fn"])
        fn.log_prob = partial(_scored, fn.log_prob, z.detach())
        msg["value"], msg["fn"] = z, fn

    def remove(self) -> None:
        """Restore the SVI's loss_and_grads."""
        if self.svi.loss_and_grads is self:
            self.svi.loss_and_grads = self.host
        for other in _sites(self.svi):
            if other.host is self:
                other.host = self.host


def _sites(svi: SVI) -> Iterator[_Site]:
    held = svi.loss_and_grads
    while isinstance(held, _Site):
        yield held
        held = held.host


def _counted(mask: Tensor | bool | None, std: Tensor, events: int, dim: int) -> Tensor | None:
    """The mask of what counts, without the latent axis."""
    if mask is None or mask is True:
        return None
    aligned = torch.as_tensor(mask, device=std.device)[(..., *[None] * events)]
    aligned = aligned.view(*[1] * (std.ndim - aligned.ndim), *aligned.shape)
    if aligned.shape[dim] != 1:
        raise InputError(
            f"the guide's mask has shape {list(aligned.shape)}, which tells latent dimensions apart; lambda needs one "
            "that is the same for all of them, with to_event(1) on the Normal"
        )
    return aligned.squeeze(dim)


def _normal(distribution: object, what: str) -> tuple[Normal, int]:
    """The Normal within a distribution, and its number of event axes."""
    base, events = distribution, 0
    while isinstance(base, Independent):
        base, events = base.base_dist, events + base.reinterpreted_batch_ndims
    if not isinstance(base, Normal):
        raise InputError(f"{what} is a {type(base).__name__}; it must be a Normal, alone or with to_event")
    return base, events


def diagnose_pyro(
    model: Callable[..., Any], guide: Callable[..., Any], data: object, *, site: str = "latent", **options: Any
) -> CollapseReport:
    """Return the report on a Pyro model and its guide, each called with a batch x.

    mu and sigma are those of the guide's site; log p(x|z) is the sum over all observed sites of the model conditioned
    on z, with masks and without scales (of `poutine.scale` or subsampling), which are weights of an objective. Causes
    are derived from the KL weight that these scales imply: the guide's over that of the observed sites, as in
    TraceMeanField_ELBO.

    Args:
        model: x -> ..., with plates as long as the batch.
        guide: Likewise.
        data: As for `diagnose`.
        site: The latent site.
        options: Of `diagnose`, such as `equalizer`.

    Raises:
        InputError: As for `diagnose`; or the site is missing, no Normal, its prior is not N(0, I), there are other
            latent sites, or an observed site outside of the plate of the examples.
    """

    def encode(x: Tensor) -> Normal:
        return _normal(_site(_traced(guide, x), site, "guide")["fn"], f"the guide's {site!r}")[0]

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        return _observed(_traced(poutine.condition(model, {site: z}), x), site)

    if options.get("history") is None and options.get("kl_weight") is None:
        batches = ExternalBatches(data, options.get("batch_size", 500), device_of(guide, model))
        options["kl_weight"] = _kl_weight(model, guide, site, batches)
    return diagnose(encode, log_likelihood, data, **options)


def _kl_weight(
    model: Callable[..., Any], guide: Callable[..., Any], site: str, batches: ExternalBatches
) -> float | None:
    """The guide's scale over that of the observed sites; None where there is no single one."""
    with torch.random.fork_rng(), torch.no_grad():  # a DataLoader draws its seed when it begins
        x: Any = next(iter(batches))
        q = _site(_traced(guide, x), site, "guide")
        _normal(q["fn"], f"the guide's {site!r}")
        theirs = _traced(poutine.condition(model, {site: q["value"]}), x)
    observed = [theirs.nodes[name]["scale"] for name in theirs.observation_nodes if name != site]
    scales = [torch.as_tensor(one, dtype=torch.float64) for one in (q["scale"], *observed)]
    if len(scales) < 2 or any(one.numel() != 1 for one in scales):
        return None
    weights = {round(float(scales[0] / one), 12) for one in scales[1:]}
    return weights.pop() if len(weights) == 1 else None


def _traced(function: Callable[..., Any], x: Tensor) -> Trace:
    return prune_subsample_sites(poutine.trace(function).get_trace(x))


def _site(trace: Trace, site: str, whose: str) -> Any:
    names = [name for name, node in trace.nodes.items() if node["type"] == "sample"]
    if site not in names:
        raise InputError(f"the {whose} has no site {site!r}; it has {', '.join(names)}: say site=")
    return trace.nodes[site]


def _observed(trace: Trace, site: str) -> Tensor:
    """Log p(x|z), [B], of the trace of a model that was conditioned on z."""
    latent = _site(trace, site, "model")
    prior, _ = _normal(latent["fn"], f"the model's prior of {site!r}")
    if bool((prior.loc != 0.0).any() or (prior.scale != 1.0).any()):
        raise InputError(
            f"the model's prior of {site!r} is Normal({float(prior.loc.flatten()[0]):.3g}, "
            f"{float(prior.scale.flatten()[0]):.3g}); a report is on N(0, I): move its loc and scale into the decoder"
        )
    if trace.stochastic_nodes:
        others = ", ".join(trace.stochastic_nodes)
        raise InputError(f"the model also samples {others}; a report is on one latent site, {site!r} alone")
    axis = -len(latent["fn"].batch_shape)  # of the examples, counted from the right as plates are
    parts = []
    for name in (one for one in trace.observation_nodes if one != site):
        node: Any = trace.nodes[name]
        log_p = node["fn"].log_prob(node["value"], *node["args"], **node["kwargs"])
        log_p = scale_and_mask(log_p, mask=node["mask"])  # type: ignore[no-untyped-call]
        if axis == 0 or log_p.dim() < -axis:
            raise InputError(
                f"{name!r} is observed outside of the plate of the examples; put it within that of {site!r}"
            )
        parts.append(log_p.movedim(axis, 0).flatten(1).sum(1) if log_p.dim() > 1 else log_p)
    if not parts:
        raise InputError("the model observes nothing when it is called with x; give its likelihood obs=x")
    return torch.stack(parts).sum(0)
