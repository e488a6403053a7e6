"""Foreign VAEs, plain callables, whose every dimension is planted: Gaussian or Bernoulli, latents of any shape."""

import math
from functools import cache

import torch

NOISE = 0.5**0.5
FEATURES = 40
PIXELS, SLOPE, FAINT = 10, 2.0, 0.07
ACTIVE, COLLAPSED, SHARP = "active", "collapsed", "over-sharp"
LABELS = {
    "healthy": ACTIVE,
    "faint": ACTIVE,
    "twin": ACTIVE,
    "dead": COLLAPSED,
    "trembling": COLLAPSED,
    "prior": COLLAPSED,
    "sharp": SHARP,
    "sharpish": SHARP,
}
CAUSES = {"dead": "no signal", "trembling": "no signal", "prior": "gradient imbalance"}
NARROWER = {"sharp": 10.0, "sharpish": 2.0}
SCENES = {
    "half-dead decoder columns": ["healthy"] * 8 + ["dead"] * 8,
    "posterior forced to the prior": ["healthy"] * 8 + ["prior"] * 8,
    "duplicated dimensions": ["healthy"] * 12 + ["twin"] * 4,
    "over-sharp dimensions": ["healthy"] * 8 + ["sharp"] * 8,
    "everything at once": ["healthy", "dead", "prior", "sharp"] * 4,
}
#: Close calls: S a fifth above its threshold, noise that costs 0.32 nats where 0.25 are the limit.
BORDER = {"close to the border": ["healthy", "faint", "trembling", "sharpish"] * 4}


class Planted:
    """Encoder, likelihood and data of a model whose dimensions are what `kinds` says.

    healthy; faint: with S of 0.012; dead: the decoder's column is 0 and the encoder silent; trembling: the same
    with what an optimiser's jitter leaves, S = 0.002; prior: the posterior is forced to the prior, though the data hold
    something and the decoder would listen; twin: two neighbours share one factor and one decoder column; sharp,
    sharpish: sigma a tenth, a half of what the bound wants.
    """

    def __init__(self, kinds, examples=1000, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.kinds, n = list(kinds), len(kinds)
        self._silent = [i for i, kind in enumerate(self.kinds) if kind in ("dead", "trembling")]
        basis = torch.linalg.qr(torch.randn(FEATURES, n, generator=generator)).Q
        information = torch.tensor([0.012 if kind == "faint" else 8.0 for kind in self.kinds])
        true = basis * (information * NOISE**2).sqrt()
        twins = [i for i, kind in enumerate(self.kinds) if kind == "twin"]
        first, second = twins[::2], twins[1::2]
        self.data_loadings = true.clone()
        self.data_loadings[:, self._silent + second] = 0.0
        self.weights = self.data_loadings.clone()
        var = 1.0 / (1.0 + information)
        self.gain = (true / NOISE**2 * var).T.clone()
        self.logvar = var.log()
        for i, kind in enumerate(self.kinds):
            if kind in ("dead", "prior"):
                self.gain[i], self.logvar[i] = 0.0, 0.0
            if kind == "trembling":
                self.gain[i] *= 0.002**0.5 / (NOISE * self.gain[i].norm())
                self.logvar[i] = -0.002
            self.logvar[i] -= 2.0 * math.log(NARROWER.get(kind, 1.0))
        for i, j in zip(first, second, strict=True):  # half the column each: best with S = 2/3 and a variance of 1/3
            self.weights[:, [i, j]] = 0.5 * true[:, [i]]
            self.gain[[i, j]] = self.gain[i] * 0.75**0.5
            self.logvar[[i, j]] = -math.log(3.0)
        z = torch.randn(examples, n, generator=generator)
        self.x = z @ self.data_loadings.T + NOISE * torch.randn(examples, FEATURES, generator=generator)

    def encode(self, x):
        return x @ self.gain.T, self.logvar.expand(len(x), -1)

    def log_likelihood(self, x, z):
        return torch.distributions.Normal(z @ self.weights.T, NOISE).log_prob(x).sum(-1)

    @property
    def truth(self):
        return [LABELS[kind] for kind in self.kinds]


class PlantedBinary:
    """The same kinds with a Bernoulli decoder: each dimension has ten binary pixels of its own, with logits 2 z.

    All that such pixels say of z is how many are on: the posterior is a table by that count, made by quadrature.
    """

    def __init__(self, kinds, examples=1000, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.kinds, n = list(kinds), len(kinds)
        factor = torch.arange(n)  # the block of pixels that a dimension reads and writes
        twins = [i for i, kind in enumerate(self.kinds) if kind == "twin"]
        factor[twins[1::2]] = factor[twins[::2]]
        self.factor = factor
        self.weights = torch.zeros(n, n)
        share = torch.tensor([0.5**0.5 if kind == "twin" else 1.0 for kind in self.kinds])
        self.slopes = [FAINT if kind == "faint" else SLOPE for kind in self.kinds]
        self.weights[torch.arange(n), factor] = torch.tensor(self.slopes) * share
        self.weights[[i for i, kind in enumerate(self.kinds) if kind in ("dead", "trembling")]] = 0.0
        z = torch.randn(examples, n, generator=generator)
        logits = (z @ self.weights).repeat_interleave(PIXELS, 1)
        self.x = torch.bernoulli(logits.sigmoid(), generator=generator)

    def encode(self, x):
        on = x.view(-1, len(self.kinds), PIXELS).sum(-1).long()[:, self.factor]
        tables = [posterior_by_count(slope) for slope in self.slopes]
        mu, var = (torch.stack([tables[i][part][on[:, i]] for i in range(len(tables))], 1) for part in (0, 1))
        for i, kind in enumerate(self.kinds):
            if kind in ("dead", "prior"):
                mu[:, i], var[:, i] = 0.0, 1.0
            if kind == "trembling":
                mu[:, i], var[:, i] = 0.002**0.5 * (on[:, i] - PIXELS / 2) / (PIXELS / 4) ** 0.5, 0.998
            if kind == "twin":  # each of the two gets half of the demand
                mu[:, i], var[:, i] = 0.5**0.5 * mu[:, i], 2.0 / (1.0 + 1.0 / var[:, i])
            var[:, i] /= NARROWER.get(kind, 1.0) ** 2
        return mu, var.log()

    def log_likelihood(self, x, z):
        logits = (z @ self.weights).repeat_interleave(PIXELS, 1)
        return -torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)

    @property
    def truth(self):
        return [LABELS[kind] for kind in self.kinds]


@cache
def posterior_by_count(slope):
    """Mean and variance of z ~ N(0, 1) given 0 to PIXELS of Bernoulli(sigmoid(slope z)) on."""
    z = torch.linspace(-8.0, 8.0, 2001, dtype=torch.float64)
    on = torch.arange(PIXELS + 1, dtype=torch.float64)[:, None]
    weight = (on * slope * z - PIXELS * torch.nn.functional.softplus(slope * z) - 0.5 * z.square()).softmax(-1)
    mean = (weight * z).sum(-1)
    return mean.float(), ((weight * z.square()).sum(-1) - mean.square()).float()


class Arranged:
    """A planted model at every site of a map [B, C, H, W] or a sequence [B, T, C], each site with data of its own."""

    def __init__(self, model, *sites):
        self.model, self.sites = model, sites
        self.kinds, self.truth = model.kinds, model.truth
        self.x = self._placed(model.x)

    def _placed(self, rows):
        """[B * sites, F] as [B, T, F], or [B, F, H, W]."""
        whole = rows.view(-1, *self.sites, rows.shape[-1])
        return whole if len(self.sites) == 1 else whole.movedim(-1, 1)

    def _rows(self, whole):
        whole = whole if len(self.sites) == 1 else whole.movedim(1, -1)
        return whole.reshape(-1, whole.shape[-1])

    def encode(self, x):
        return tuple(self._placed(part.contiguous()) for part in self.model.encode(self._rows(x)))

    def log_likelihood(self, x, z):
        return self.model.log_likelihood(self._rows(x), self._rows(z)).view(len(x), -1).sum(-1)


LAWS = {"Gaussian": Planted, "Bernoulli": PlantedBinary}
SHAPES = {"[B, D]": (), "[B, C, H, W]": (2, 2), "[B, T, D]": (4,)}


def planted(law, shape, kinds, examples, seed):
    """A model by the names of its law and of the shape of its latents."""
    sites = SHAPES[shape]
    model = LAWS[law](kinds, examples * math.prod(sites), seed)
    return Arranged(model, *sites) if sites else model
