"""The forms of tests/adapters/drawing_hosts.py: where and how a VAE draws z.

`made(cell, seed)` is the host that a `Cell` names, `settings(cell)` what its user hands to `equalize`.
"""

import random
from itertools import combinations, product
from typing import Any

import torch
from drawing_hosts import (
    DTYPES,
    RETURNS,
    SHAPES,
    WIDTHS,
    Cell,
    Draw,
    DrawingEncoder,
    Host,
    Whole,
)
from drawing_widths import NOISES, WRONG
from torch import nn
from torch.distributions import Independent, Normal


def method(draw, names):
    """A method (self, mu, argument), named as its author did."""
    if names == "mu, s":

        def host(self, mu, s):
            return draw(mu, s)
    elif names == "mu, logvar":

        def host(self, mu, logvar):
            return draw(mu, logvar)
    elif names == "z_mean, log_sigma_sq":

        def host(self, z_mean, log_sigma_sq):
            return draw(z_mean, log_sigma_sq)
    elif names == "m, sigma2":

        def host(self, m, sigma2):
            return draw(m, sigma2)
    elif names == "std, mean":  # in that order

        def host(self, std, mean):
            return draw(mean, std)
    else:

        def host(self, *args):
            return draw(*args)

    return host


#: The two arguments in the order in which the method takes them.
NAMES = {
    "mu, s": ("mu", "s"),
    "mu, logvar": ("mu", "logvar"),
    "z_mean, log_sigma_sq": ("z_mean", "log_sigma_sq"),
    "m, sigma2": ("m", "sigma2"),
    "std, mean": ("std", "mean"),
    "*args": ("", ""),
}


def _method(cell):
    host = Host(cell)
    return _with(host, reparameterize=method(host.draw, cell.names))


def _axis(cell):
    return SHAPES[cell.shape][1]


def _with(host: Host, **members: Any) -> Host:
    """The host as an instance of a class of its own that has these members."""
    host.__class__ = type("Host", (type(host),), members)
    return host


def _named(cell):
    host = Host(cell)

    def sampled(self, mu, argument):
        return self.noisy_code(*self.ordered(mu, argument))

    return _with(host, noisy_code=method(host.draw, cell.names), sampled=sampled)


def _keyword(cell):
    host = Host(cell)

    def sampled(self, mu, argument):
        return self.reparameterize(**dict(zip(NAMES[cell.names], self.ordered(mu, argument), strict=True)))

    return _with(host, reparameterize=method(host.draw, cell.names), sampled=sampled)


def _static(cell):
    host = Host(cell)
    return _with(host, reparameterize=staticmethod(lambda mu, s: host.draw(mu, s)))


def _static_of_class(cell):
    return _with(_static(cell), sampled=lambda self, mu, argument: type(self).reparameterize(mu, argument))


def _one_tensor(cell):
    host = Host(cell)

    def reparameterize(self, h):
        return host.draw(*h.chunk(2, self.dim))

    def sampled(self, mu, argument):
        return self.reparameterize(torch.cat((mu, argument), self.dim))

    return _with(host, reparameterize=reparameterize, sampled=sampled)


def _distribution(cell, wrap=lambda q: q, unwrap=lambda q: q):
    """The sampler takes the distribution itself."""
    host = Host(cell)

    def reparameterize(self, posterior):
        inner = unwrap(posterior)
        return RETURNS[cell.returned][0](host.draw.drawn(inner.loc, inner.scale, inner.scale))

    def sampled(self, mu, argument):
        return self.reparameterize(_posterior(cell, mu, argument, wrap))

    return _with(host, reparameterize=reparameterize, sampled=sampled)


class Sampling(nn.Module):
    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, mu, s):
        return self.draw(mu, s)


def _sampler(cell):
    host = Host(cell)
    host.reparameterize = Sampling(host.draw)
    return host


def _sampler_named(cell):
    host = Host(cell)
    host.noise_layer = Sampling(host.draw)
    return _with(host, sampled=lambda self, mu, argument: self.noise_layer(mu, argument))


def _encoder(cell):
    """A module draws, and gives what it drew."""
    host = Host(cell)
    heads = host.encoder
    host.encoder = DrawingEncoder(heads, host.draw)
    return _with(host, returned=lambda self, x: (self.encoder(x), *heads(x)))


def _encode(cell):
    """A method encodes and draws."""
    host = Host(cell)
    return _with(
        host,
        encode=lambda self, x: self.draw(*self.encoder(x)),
        returned=lambda self, x: (self.encode(x), *self.encoder(x)),
    )


def _posterior(cell, mu, argument, wrap=lambda q: q):
    return wrap(Normal(mu, WIDTHS[cell.width].std(argument)))


def _independent(q):
    return Independent(q, 1)


def _drawn_later(host, posterior):
    """forward of a host that draws by q.rsample() itself."""

    def forward(self, x):
        q = posterior(self, x)
        z = q.rsample()
        self.draw.made.append(z)
        inner = q.base_dist if isinstance(q, Independent) else q
        return self.trained(x, z, self.kl(inner.loc, inner.scale), q)

    return forward


def _module_gives_distribution(cell):
    host = Host(cell)
    host.encoder = DrawingEncoder(host.encoder, lambda mu, argument: _posterior(cell, mu, argument))
    return _with(host, forward=_drawn_later(host, lambda self, x: self.encoder(x)))


def _method_gives_distribution(cell):
    host = Host(cell)

    def posterior(self, x):
        return _posterior(cell, *self.encoder(x))

    return _with(host, posterior=posterior, forward=_drawn_later(host, lambda self, x: self.posterior(x)))


def _rsample(cell, wrap=lambda q: q):
    host = Host(cell)
    return _with(host, forward=_drawn_later(host, lambda self, x: _posterior(cell, *self.encoder(x), wrap)))


def _rsample_in_step(cell):
    host = Host(cell)
    step = _drawn_later(host, lambda self, x: _posterior(cell, *self.encoder(x)))
    return _with(host, training_step=step, step=lambda self, x: self.training_step(x))


def _inline(cell):
    host = Host(cell)
    return _with(host, sampled=lambda self, mu, argument: self.draw(mu, argument))


def _inline_of(cell, given, taken):
    """What the encoder gives is a dictionary, a distribution, ..."""
    host = Host(cell)
    host.encoder = DrawingEncoder(host.encoder, given)

    def returned(self, x):
        mu, argument = taken(self.encoder(x))
        return host.draw(mu, argument), mu, argument

    return _with(host, returned=returned)


def _inline_of_distribution(cell):
    host = _inline_of(cell, lambda mu, argument: _posterior(cell, mu, argument), None)

    def returned(self, x):
        q = self.encoder(x)
        return RETURNS[cell.returned][0](host.draw.drawn(q.loc, q.scale, q.scale)), q.loc, q.scale

    return _with(host, returned=returned, std=lambda self, scale: scale)


def _inline_beside(cell):
    """The decoder takes something beside z."""
    return _with(_inline(cell), decoded=lambda self, z, x: self.decoder(z, 0.1 * x))


def _twice(cell, shift):
    """The method is called a second time in the step, with a sigma that is `shift` off."""
    host = Host(cell)

    def sampled(self, mu, argument):
        first = self.reparameterize(mu, argument)
        self.reparameterize(mu + shift, argument + shift)
        return first

    return _with(host, reparameterize=method(host.draw, "mu, s"), sampled=sampled)


def _handed_noise(cell):
    """The noise is drawn outside and handed in."""
    host = Host(cell)

    def reparameterize(self, mu, logvar, eps):
        z = mu + WIDTHS[cell.width].std(logvar) * eps
        host.draw.made.append(z)
        return z

    def sampled(self, mu, argument):
        return self.reparameterize(mu, argument, torch.randn_like(mu))

    return _with(host, reparameterize=reparameterize, sampled=sampled)


#: How the host is made, what its user hands to `equalize`, and whether its two arguments can be called anything.
FORMS: dict[str, tuple[Any, dict[str, str], bool]] = {
    "method": (_method, {}, True),
    "method by another name": (_named, {"method": "noisy_code"}, True),
    "by keyword": (_keyword, {}, True),
    "static": (_static, {}, False),
    "static, by its class": (_static_of_class, {}, False),
    "one tensor": (_one_tensor, {}, False),
    "of a Normal": (_distribution, {}, False),
    "of an Independent": (lambda c: _distribution(c, _independent, lambda q: q.base_dist), {}, False),
    "sampler": (_sampler, {}, False),
    "sampler by another name": (_sampler_named, {"method": "noise_layer"}, False),
    "part": (lambda cell: Whole(_method(cell)), {"method": "vae.reparameterize"}, True),
    "encoder": (_encoder, {"at": "encoder"}, False),
    "encode": (_encode, {"at": "encode"}, False),
    "module's distribution": (_module_gives_distribution, {"at": "encoder"}, False),
    "method's distribution": (_method_gives_distribution, {"at": "posterior"}, False),
    "rsample": (_rsample, {}, False),
    "rsample, asked for": (_rsample, {"at": "rsample"}, False),
    "rsample of an Independent": (lambda cell: _rsample(cell, _independent), {}, False),
    "rsample in training_step": (_rsample_in_step, {}, False),
    "inline": (_inline, {"into": "decoder", "posterior": "encoder"}, False),
    "inline, more to the decoder": (_inline_beside, {"into": "decoder", "posterior": "encoder"}, False),
    "inline, of a dict": (
        lambda cell: _inline_of(cell, lambda m, s: {"loc": m, "s": s, "h": m + s}, lambda q: (q["loc"], q["s"])),
        {"into": "decoder", "posterior": "encoder"},
        False,
    ),
    "inline, of one tensor": (
        lambda cell: _inline_of(cell, lambda m, s: torch.cat((m, s), _axis(cell)), lambda h: h.chunk(2, _axis(cell))),
        {"into": "decoder", "posterior": "encoder"},
        False,
    ),
    "inline, of a Normal": (_inline_of_distribution, {"into": "decoder", "posterior": "encoder"}, False),
    "twice, alike": (lambda cell: _twice(cell, 0.0), {}, False),
    "twice, unlike": (lambda cell: _twice(cell, 3.0), {}, False),
    "noise handed in": (_handed_noise, {}, False),
}
#: They return nothing but a distribution, drawn by rsample.
DISTRIBUTIONS = tuple(name for name in FORMS if "distribution" in name or name.startswith("rsample"))


def made(cell: Cell, seed: int) -> nn.Module:
    """The host, always the same for a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FORMS[cell.form][0](cell).to(DTYPES[cell.dtype])


def settings(cell: Cell) -> dict[str, Any]:
    """What its user hands to `equalize`."""
    return {**FORMS[cell.form][1], "dim": SHAPES[cell.shape][1]}


def all_pairs(seed: int = 0) -> list[Cell]:
    """Cells in which every two values of any two axes come together, where somebody could write that.

    Of the wrong draws each is in every third form, with values of the other axes as they fall.
    """
    axes = {"width": WIDTHS, "form": FORMS, "returned": RETURNS, "noise": NOISES, "names": NAMES, "shape": SHAPES}
    axes |= {"dtype": DTYPES}
    chance, cells, seen = random.Random(seed), [], set()
    wrong, forms = list(WRONG), list(FORMS)

    def pairs(cell):
        return set(combinations([(axis, getattr(cell, axis)) for axis in axes], 2))

    for first, second in combinations(axes, 2):
        for one, other in product(axes[first], axes[second]):
            fixed = {first: one, second: other}
            if one in WRONG and (second != "form" or (wrong.index(one) + forms.index(other)) % 3):
                continue
            if ((first, one), (second, other)) in seen or not is_possible(Cell(**fixed)):
                continue
            fills = [{axis: chance.choice(list(axes[axis])) for axis in axes} | fixed for _ in range(30)]
            # what the two are worth must be seen, so nothing else in the cell may be a reason to refuse it
            worth = Cell(**fixed).expected
            filled = [cell for cell in (Cell(**fill) for fill in fills) if is_possible(cell) and cell.expected == worth]
            cells.append(max([Cell(**fixed), *filled], key=lambda cell: len(pairs(cell) - seen)))
            seen |= {pair for pair in pairs(cells[-1]) if Cell(**dict(pair)).expected == worth}
    return cells


def is_possible(cell: Cell) -> bool:
    """Whether somebody could write it."""
    if cell.width in WRONG and cell.noise != "randn_like":
        return False  # it has a noise of its own
    takes_names = FORMS[cell.form][2]
    if cell.names != "mu, s" and (not takes_names or (cell.names == "*args" and cell.form == "by keyword")):
        return False
    if cell.form in DISTRIBUTIONS:
        if cell.returned != "z" or cell.noise != "randn_like" or cell.shape == "samples" or cell.width in WRONG:
            return False
        return cell.form != "rsample of an Independent" or cell.shape == "vectors"
    if cell.form == "noise handed in":
        return (
            cell.returned == "z" and cell.noise == "randn_like" and cell.shape != "samples" and cell.width not in WRONG
        )
    if cell.shape == "maps" and cell.width in ("full covariance", "softmax(z)", "decoded", "decoded linearly"):
        return False
    return True
