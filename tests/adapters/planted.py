"""A foreign linear-Gaussian VAE, plain callables, whose every dimension is planted: x = W z + noise."""

import math

import torch

NOISE = 0.5**0.5
FEATURES = 40
ACTIVE, COLLAPSED, SHARP = "active", "collapsed", "over-sharp"


class Planted:
    """Encoder, likelihood and data of a model whose dimensions are what `kinds` says.

    healthy; dead: the decoder's column is 0 and the encoder silent; prior: the posterior is forced to the prior, though
    the data hold something and the decoder would listen; twin: two neighbours share one factor and one decoder column;
    sharp: sigma a tenth of what the bound wants.
    """

    def __init__(self, kinds, examples=1000, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.kinds, n = list(kinds), len(kinds)
        basis = torch.linalg.qr(torch.randn(FEATURES, n, generator=generator)).Q
        information = torch.full((n,), 8.0)
        true = basis * (information * NOISE**2).sqrt()
        twins = [i for i, kind in enumerate(self.kinds) if kind == "twin"]
        first, second = twins[::2], twins[1::2]
        self.data_loadings = true.clone()
        self.data_loadings[:, [i for i, kind in enumerate(self.kinds) if kind == "dead"] + second] = 0.0
        self.weights = self.data_loadings.clone()
        var = 1.0 / (1.0 + information)
        self.gain = (true / NOISE**2 * var).T.clone()
        self.logvar = var.log()
        for i, kind in enumerate(self.kinds):
            if kind in ("dead", "prior"):
                self.gain[i], self.logvar[i] = 0.0, 0.0
            if kind == "sharp":
                self.logvar[i] -= 2.0 * math.log(10.0)
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
        labels = {"healthy": ACTIVE, "dead": COLLAPSED, "prior": COLLAPSED, "twin": ACTIVE, "sharp": SHARP}
        return [labels[kind] for kind in self.kinds]
