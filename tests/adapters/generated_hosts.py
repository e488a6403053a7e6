"""Small trained VAEs, and what may be wrong with the callables made of them: one thing at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace

import torch
from torch import distributions as D
from torch import nn

from lambda_vae.any_vae import diagnose
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import bernoulli, gaussian

LATENTS, NOISE = 6, 0.4
#: Family and the shape of one example.
KINDS = {
    "gaussian": ("gaussian", (30,)),
    "gaussian images": ("gaussian", (3, 4, 4)),
    "gaussian series": ("gaussian", (6, 5)),
    "bernoulli": ("bernoulli", (40,)),
    "bernoulli images": ("bernoulli", (1, 6, 6)),
    "poisson": ("poisson", (30,)),
    "multinomial": ("multinomial", (40,)),
    "laplace": ("laplace", (30,)),
}


def law(family, theta):
    """p(x|z) by torch; a multinomial's without the coefficient of its counts."""
    if family == "gaussian":
        return D.Normal(theta, NOISE)
    if family == "laplace":
        return D.Laplace(theta, NOISE)
    return D.Bernoulli(logits=theta) if family == "bernoulli" else D.Poisson(theta.exp())


def log_prob(family, x, theta):
    """In nats, one number a feature."""
    return x * theta.log_softmax(1) if family == "multinomial" else law(family, theta).log_prob(x)


@dataclass(frozen=True, eq=False)
class Host:
    """A trained VAE as two callables and data.

    encode gives (mu, logvar); decode gives theta, as rows; log_likelihood and data are what a user would give.
    """

    family: str
    shape: tuple[int, ...]
    x: torch.Tensor
    encode: Callable
    decode: Callable
    log_likelihood: Callable
    options: tuple = ()

    def told(self, **changes):
        return replace(self, **changes)


class Net(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, 48), nn.Tanh(), nn.Linear(48, 2 * LATENTS))
        self.decoder = nn.Sequential(nn.Linear(LATENTS, 48), nn.Tanh(), nn.Linear(48, features))

    def encode(self, x):
        return self.encoder(x.flatten(1)).chunk(2, 1)


@cache
def trained(kind, seed):
    """A network and 600 examples of its kind that it has not seen."""
    family, shape = KINDS[kind]
    features = math.prod(shape)
    with torch.random.fork_rng():
        torch.manual_seed(1000 * seed + sum(map(ord, kind)))
        loadings, place = torch.randn(3, features), torch.randn(features)
        z = torch.randn(2600, 3)
        theta = place + z @ loadings * 0.7
        if family == "multinomial":
            x = D.Multinomial(12, logits=theta).sample().clamp(max=1.0)  # implicit feedback
        else:
            x = law(family, theta.clamp(max=3.0) if family == "poisson" else theta).sample()
        net = Net(features)
        optimizer = torch.optim.Adam(net.parameters(), 4e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 700)
        for _ in range(700):
            batch = x[torch.randint(2000, (100,))]
            mu, logvar = net.encode(batch)
            out = net.decoder(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))
            kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)
            loss = (kl - log_prob(family, batch, out).sum(1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False), x[2000:].view(-1, *shape)


@cache
def host(kind, seed, examples=300):
    """The right host of a kind."""
    family, shape = KINDS[kind]
    net, x = trained(kind, seed)

    def log_likelihood(x, z):
        return log_prob(family, x.flatten(1), net.decoder(z)).sum(1)

    return Host(family, shape, x[:examples], net.encode, net.decoder, log_likelihood)


@cache
def truth(right):
    """KL and nll_bound of a right host with the standard error of the latter, by plain Monte Carlo."""
    generator = torch.Generator().manual_seed(5)
    mu, logvar = right.encode(right.x)
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1).double()
    draws = [mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=generator) for _ in range(128)]
    rec = torch.stack([log_prob(right.family, right.x.flatten(1), right.decode(z)).sum(1).double() for z in draws])
    noise = rec.var(0).mean() / len(mu)  # of one draw an example, the most that `diagnose` may be off by chance
    return float(kl.mean()), float((kl - rec.mean(0)).mean()), float(noise.sqrt())


def _second(change):
    return lambda h: h.told(encode=lambda x: (h.encode(x)[0], change(h.encode(x)[1])))


def _answers(change):
    return lambda h: h.told(encode=lambda x: change(h, x, *h.encode(x)))


def _value(change):
    return lambda h: h.told(log_likelihood=lambda x, z: change(h.log_likelihood(x, z), x))


def _theta(change):
    """The value of the same law at other parameters."""
    return lambda h: h.told(log_likelihood=lambda x, z: log_prob(h.family, x.flatten(1), change(h, h.decode(z))).sum(1))


def _std(logvar):
    return (0.5 * logvar).exp()


def _softplus(logvar):
    return torch.expm1(_std(logvar)).log()


def _permuted(order):
    def change(h, theta):
        maps = theta.view(-1, *h.shape).permute(0, *[axis + 1 for axis in order])
        return maps.flatten(1)

    return _theta(change)


def _helper(make):
    return lambda h: h.told(log_likelihood=make(h))


def _images(h):
    return len(h.shape) == 3 and h.shape[0] > 1


def _maps(h):
    return len(h.shape) > 1 and max(h.shape) > 1


def _is(*families):
    return lambda h: h.family in families


def _any(h):
    return True


class Dropping(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.drop = inner, nn.Dropout(0.3)

    def forward(self, *given):
        return self.drop(self.inner(*given))


class Plain(nn.Module):
    """In train mode, with nothing in it that minds."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *given):
        return self.inner(*given)


def _dropping(h):
    module = Dropping(h.decode).train()
    return h.told(log_likelihood=lambda x, z: log_prob(h.family, x.flatten(1), module(z)).sum(1))


def _harmless(h):
    module = Plain(h.decode).train()
    return h.told(log_likelihood=lambda x, z: log_prob(h.family, x.flatten(1), module(z)).sum(1))


def _in(kind):
    def change(h, theta):
        return theta.to(kind)

    def make(h):
        return lambda x, z: log_prob(h.family, x.flatten(1).to(kind), change(h, h.decode(z))).sum(1)

    return lambda h: h.told(log_likelihood=make(h))


#: What is right in other words: name -> (change, of which hosts).
RIGHT = {
    "as it is": (lambda h: h, _any),
    "std, said": (lambda h: _second(_std)(h).told(options=(("takes", "std"),)), _any),
    "variance, said": (lambda h: _second(torch.exp)(h).told(options=(("takes", "var"),)), _any),
    "ln std, said": (lambda h: _second(lambda v: 0.5 * v)(h).told(options=(("takes", "log_std"),)), _any),
    "softplus, said": (lambda h: _second(_softplus)(h).told(options=(("takes", "softplus"),)), _any),
    "a torch Normal": (_answers(lambda h, x, mu, v: D.Normal(mu, _std(v))), _any),
    "a diagonal MultivariateNormal": (
        _answers(lambda h, x, mu, v: D.MultivariateNormal(mu, scale_tril=torch.diag_embed(_std(v)))),
        _any,
    ),
    "the helper": (
        _helper(
            lambda h: gaussian(h.decode, std=NOISE) if h.family == "gaussian" else bernoulli(h.decode, logits=True)
        ),
        _is("gaussian", "bernoulli"),
    ),
    "probabilities to the helper": (_helper(lambda h: bernoulli(lambda z: h.decode(z).sigmoid())), _is("bernoulli")),
    "numpy in float64": (lambda h: h.told(x=h.x.double().numpy()), _any),
    "batches with labels": (lambda h: h.told(x=[(part, torch.zeros(len(part))) for part in h.x.split(100)]), _any),
    "no gradient": (lambda h: h.told(log_likelihood=torch.no_grad()(h.log_likelihood)), _any),
    "numpy behind it": (
        lambda h: h.told(
            log_likelihood=lambda x, z: torch.from_numpy(h.log_likelihood(x.detach(), z.detach()).numpy())
        ),
        _any,
    ),
    "train mode without consequence": (_harmless, _any),
    "float64 decoder": (_in(torch.float64), _any),
}

#: One thing wrong.
WRONG = {
    "std for logvar": (_second(_std), _any),
    "variance for logvar": (_second(torch.exp), _any),
    "ln std for logvar": (_second(lambda v: 0.5 * v), _any),
    "softplus for logvar": (_second(_softplus), _any),
    "ln precision for logvar": (_second(lambda v: -v), _any),
    "the two swapped": (_answers(lambda h, x, mu, v: (v, mu)), _any),
    "a sample for mu": (_answers(lambda h, x, mu, v: (mu + _std(v) * torch.randn_like(mu), v)), _any),
    "a sample first": (_answers(lambda h, x, mu, v: (mu + _std(v) * torch.randn_like(mu), mu, v)), _any),
    "mu twice, then logvar": (_answers(lambda h, x, mu, v: (mu, mu, v)), _any),
    "std before logvar": (_answers(lambda h, x, mu, v: (mu, _std(v), v)), _any),
    "reconstruction first": (_answers(lambda h, x, mu, v: (h.decode(mu), mu, v)), _any),
    "mu alone": (_answers(lambda h, x, mu, v: mu), _any),
    "half of a batch's means": (_answers(lambda h, x, mu, v: (mu - mu.mean(0), v)), _any),
    "mean over features": (_value(lambda p, x: p / x[0].numel()), _any),
    "not summed": (lambda h: h.told(log_likelihood=lambda x, z: log_prob(h.family, x.flatten(1), h.decode(z))), _any),
    "mean over the batch": (_value(lambda p, x: p.mean()), _any),
    "mean over the batch, spread": (_value(lambda p, x: p.mean().expand(len(p))), _any),
    "sum over the batch, spread": (_value(lambda p, x: p.sum().expand(len(p))), _any),
    "shared out over the batch": (_value(lambda p, x: p / len(p)), _any),
    "a loss": (_value(lambda p, x: -p), _any),
    "in bits": (_value(lambda p, x: p / math.log(2.0)), _any),
    "half of it": (_value(lambda p, x: 0.5 * p), _any),
    "twice it": (_value(lambda p, x: 2.0 * p), _any),
    "a hundredth of it": (_value(lambda p, x: 0.01 * p), _any),
    "without its constant": (
        lambda h: h.told(log_likelihood=lambda x, z: -0.5 * ((x.flatten(1) - h.decode(z)) / NOISE).square().sum(1)),
        _is("gaussian"),
    ),
    "absolute errors alone": (
        lambda h: h.told(log_likelihood=lambda x, z: -((x.flatten(1) - h.decode(z)) / NOISE).abs().sum(1)),
        _is("laplace"),
    ),
    "a draw of its own": (
        lambda h: h.told(log_likelihood=lambda x, z: h.log_likelihood(x, z + 0.5 * torch.randn_like(z))),
        _any,
    ),
    "dropout at work": (_dropping, _any),
    "logits for probabilities": (_helper(lambda h: bernoulli(h.decode)), _is("bernoulli")),
    "probabilities for logits": (
        _helper(lambda h: bernoulli(lambda z: h.decode(z).sigmoid(), logits=True)),
        _is("bernoulli"),
    ),
    "a sigmoid twice": (_helper(lambda h: bernoulli(lambda z: h.decode(z).sigmoid().sigmoid())), _is("bernoulli")),
    "a softmax for a Bernoulli": (_helper(lambda h: bernoulli(lambda z: h.decode(z).softmax(1))), _is("multinomial")),
    "channels last": (_permuted((1, 2, 0)), _images),
    "channels last, not flattened": (
        _helper(lambda h: gaussian(lambda z: h.decode(z).view(-1, *h.shape).permute(0, 2, 3, 1), std=NOISE)),
        _images,
    ),
    "rows for columns": (_permuted((0, 2, 1)), lambda h: len(h.shape) == 3),
    "time for features": (_permuted((1, 0)), lambda h: len(h.shape) == 2),
    "features in reverse": (_theta(lambda h, theta: theta.flip(1)), _any),
    "bytes for numbers": (
        lambda h: h.told(x=(255 * h.x), encode=lambda x: h.encode(x / 255)),
        _is("gaussian"),
    ),
    "bfloat16 decoder": (_in(torch.bfloat16), _any),
    "float16 decoder": (_in(torch.float16), _any),
}


@dataclass(frozen=True)
class Outcome:
    """measured right, refused, noted (a wrong number with a sentence on why), or silent; with what was said."""

    verdict: str
    said: str


def outcome(right, given):
    """What `diagnose` makes of a host that should give the right one's numbers."""
    kl, bound, noise = truth(right)
    try:
        report = diagnose(given.encode, given.log_likelihood, given.x, iw_samples=4, **dict(given.options))
    except InputError as error:
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome("traceback", f"{type(error).__name__}: {error}")
    off = report.nll_bound - bound
    allowed = 0.02 + 4.0 * noise + 1e-4 * abs(bound)
    close = abs(off) <= allowed and abs(float(report.kl.sum()) - kl) <= 1e-3 * max(kl, 1.0)
    if close:
        return Outcome("right", "")
    said = " ".join(note for note in report.notes)
    return Outcome(
        "noted" if said else "silent", f"bound off by {off:+.3f}, KL {float(report.kl.sum()):.3f} for {kl:.3f}; {said}"
    )


def cases():
    """Every kind with every change that fits it: (kind, name, whether it is right)."""
    for kind in KINDS:
        model = SimpleNamespace(family=KINDS[kind][0], shape=KINDS[kind][1])  # what decides, untrained
        for table, good in ((RIGHT, True), (WRONG, False)):
            yield from ((kind, name, good) for name, (_, fits) in table.items() if fits(model))


def made(kind, name, seed, examples=300):
    """The right host and the changed one."""
    right = host(kind, seed, examples)
    change = (RIGHT | WRONG)[name][0]
    return right, change(right)
