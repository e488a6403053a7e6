"""A foreign linear-Gaussian VAE, plain callables, whose every dimension is planted: x = W z + noise."""

import math

import torch

NOISE = 0.5**0.5
FEATURES = 40
ACTIVE, COLLAPSED, SHARP = "active", "collapsed", "over-sharp"


class Planted:
    """Encoder, likelihood and data of a model whose dimensions are what `kinds` says.

    healthy; dead: the decoder's column is 0 and the encoder silent; prior: the posterior is forced to the prior, though
    the data hold something; twin: a second copy of dimension 0's code that the decoder ignores, at the prior's own
    width; sharp: sigma a tenth of what the bound wants.
    """

    def __init__(self, kinds, examples=1000, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.kinds, n = list(kinds), len(kinds)
        basis = torch.linalg.qr(torch.randn(FEATURES, n, generator=generator)).Q
        information = torch.full((n,), 8.0)
        true = basis * (information * NOISE**2).sqrt()
        carried = torch.tensor([kind != "dead" and kind != "twin" for kind in self.kinds])
        self.data_loadings = true * carried
        used = torch.tensor([kind in ("healthy", "sharp") for kind in self.kinds])
        self.weights = true * used
        var = torch.where(used, 1.0 / (1.0 + information), torch.ones(n))
        self.gain = (self.weights / NOISE**2 * var).T
        self.logvar = var.log() - 2.0 * math.log(10.0) * torch.tensor([kind == "sharp" for kind in self.kinds])
        for i, kind in enumerate(self.kinds):
            if kind == "twin":  # the same code again, scaled so that its marginal is the prior's
                self.gain[i], self.logvar[i] = self.gain[0], self.logvar[0]
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
