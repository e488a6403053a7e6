"""Small hosts, each of which draws z in another place, and how each is equalized."""

import torch
from torch import nn
from torch.distributions import Independent, Normal
from torch.nn import functional as F

D = 4


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.d = nn.Linear(8, 2 * D), nn.Linear(D, 8)

    def encode(self, x):
        return self.e(x).chunk(2, -1)


class Method(Base):
    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x):
        return self.d(self.reparameterize(*self.encode(x)))


class Keyword(Method):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.d(self.reparameterize(logvar=logvar, mu=mu))


class OneArgument(Base):
    def sample_z(self, h):
        mu, rho = h.chunk(2, -1)
        return mu, mu + F.softplus(rho) * torch.randn_like(mu)

    def forward(self, x):
        return self.d(self.sample_z(self.e(x))[1])


class Static(Base):
    @staticmethod
    def reparameterize(mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x):
        return self.d(Static.reparameterize(*self.encode(x)))


class Sampling(nn.Module):
    def forward(self, mu, var):
        return mu + var.sqrt() * torch.randn_like(mu)


class Layer(Base):
    def __init__(self):
        super().__init__()
        self.reparameterize = Sampling()

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.d(self.reparameterize(mu, logvar.exp()))


class Encoder(nn.Module):
    """With a batch norm and a dropout, whose state and chance a measurement must leave alone."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 2 * D))

    def forward(self, x):
        mu, logvar = self.net(x).chunk(2, -1)
        q = Independent(Normal(mu, torch.exp(0.5 * logvar)), 1)
        return q, q.rsample()


class Output(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.d = Encoder(), nn.Linear(D, 8)

    def forward(self, x):
        return self.d(self.encoder(x)[1])


class Later(Base):
    def posterior(self, x):
        mu, logvar = self.encode(x)
        return Normal(mu, torch.exp(0.5 * logvar))

    def forward(self, x):
        return self.d(self.posterior(x).rsample())


class Middle(Base):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.d(Normal(mu, torch.exp(0.5 * logvar)).rsample())


class Inline(Base):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.d(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))


#: By name, the host and what `equalize` is told.
HOSTS = {
    "method": (Method, {}),
    "keyword": (Keyword, {}),
    "one argument": (OneArgument, {}),
    "static": (Static, {}),
    "layer": (Layer, {}),
    "output": (Output, {"at": "encoder"}),
    "later": (Later, {"at": "posterior"}),
    "middle": (Middle, {}),
    "inline": (Inline, {"into": "d", "posterior": "e"}),
}


def built(name, seed=0):
    """The host of a name, in train mode, and what `equalize` is told."""
    torch.manual_seed(seed)
    kind, told = HOSTS[name]
    return kind().train(), told
