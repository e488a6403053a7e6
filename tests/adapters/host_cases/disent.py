"""disent as the contract asks it: a BetaVae with its linear networks, by Lightning, on random images."""

import torch
from adapters.hosts.disent_images import DATA, IMAGES, built, trained
from adapters.planted import NOISE, Planted
from disent.dataset import DisentDataset
from disent.frameworks import vae
from disent.model import AutoEncoder
from disent.model._base import DisentDecoder, DisentEncoder
from host_contract import HostCase

from lambda_vae.integrations.disent import diagnose_disent, equalize_disent


def train(delta):
    framework = built()
    trained(framework, [] if delta is None else [equalize_disent(framework, delta, refresh_every=1)])
    return dict(framework._model.state_dict())


def kl():
    framework = built().eval()
    q, p = framework.encode_dists(IMAGES)
    hosts = framework.latents_handler.compute_kl_loss(q, p)  # a mean over the four latents
    return diagnose_disent(framework, IMAGES).rate, float(hosts) * 4


class Encoder(DisentEncoder):
    def __init__(self, planted):
        super().__init__((1, 1, planted.x.shape[1]), z_size=len(planted.kinds), z_multiplier=2)
        self.gain, self.logvar = planted.gain, planted.logvar

    def encode(self, x):
        mu = x.flatten(1) @ self.gain.T
        return torch.cat([mu, self.logvar.expand_as(mu)], 1)


class Decoder(DisentDecoder):
    def __init__(self, planted):
        super().__init__((1, 1, planted.x.shape[1]), z_size=len(planted.kinds))
        self.weights = planted.weights

    def decode(self, z):
        return (z @ self.weights.T).view(-1, *self.x_shape)


def planted():
    found = Planted(["healthy", "dead", "healthy", "prior"])
    beta = 2 * NOISE**2  # of a summed squared error
    framework = vae.BetaVae(
        AutoEncoder(Encoder(found), Decoder(found)), vae.BetaVae.cfg(beta=beta, loss_reduction="mean_sum")
    )
    report = diagnose_disent(framework.eval(), found.x.view(-1, 1, 1, found.x.shape[1]))
    return report, {k for k, label in enumerate(found.truth) if label == "collapsed"}


CASE = HostCase(
    train=train,
    kl=kl,
    planted=planted,
    refused={
        "BetaTcVae cannot be equalized: its total correlation": lambda: equalize_disent(built("BetaTcVae"), 1.1),
        "AdaVae cannot be equalized: it draws z of two": lambda: equalize_disent(built("AdaVae"), 1.1),
        "use latent_distribution='normal'": lambda: diagnose_disent(built(latent_distribution="laplace"), IMAGES),
        "kl_loss_mode is 'approx'": lambda: equalize_disent(built(kl_loss_mode="approx"), 1.1),
        "kl_loss_mode is 'direct_symmetric'": lambda: diagnose_disent(built(kl_loss_mode="direct_symmetric"), IMAGES),
        "recon_loss is 'c_bernoulli', which": lambda: diagnose_disent(built(recon_loss="c_bernoulli"), IMAGES),
        "Linear cannot be diagnosed: .* use one of disent's Vae": lambda: diagnose_disent(
            torch.nn.Linear(2, 2), IMAGES
        ),
        "the images are uint8, .* transform=ToImgTensorF32": lambda: diagnose_disent(built(), DisentDataset(DATA)),
        "the batches are Tensor, .* give a DisentDataset": lambda: diagnose_disent(built(), DATA),
        "delta is 0.9": lambda: equalize_disent(built(), 0.9),
    },
)
