"""From a config to an untrained model."""

from dataclasses import replace

from lambda_vae.methods import Context
from lambda_vae.model import VAE
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior
from lambda_vae.rng import global_seed
from lambda_vae.runs.config import RunConfig

__all__ = ["build_vae"]


def build_vae(config: RunConfig, shape: tuple[int, ...], likelihood: str) -> VAE:
    """Return an untrained VAE; the same config gives the same weights, whatever was drawn before.

    The parts that a method replaces are drawn last: encoder and decoder begin with the same weights under every method.

    Args:
        config: The run.
        shape: Of one example, as `Run.shape` gives it.
        likelihood: A name in `LIKELIHOODS`.

    Raises:
        InputError: Sizes below 1, unknown names, or a network that does not fit the data.
    """
    method, latent_dim, train = config.method, config.latent_dim, config.train
    with global_seed(train.seed):
        encoder, encoded = config.network.encoder(shape, latent_dim)
        gaussian = GaussianPosterior(encoded, latent_dim)
        decoder, p_x = config.network.decoder(shape, latent_dim, likelihood)
        context = Context(latent_dim, train.epochs, train.batch_size, p_x.features, encoded)
        posterior = method.posterior(context) or gaussian
        for module in posterior.modules():
            if isinstance(module, GaussianPosterior):  # what stands on it begins with the same weights as well
                module.load_state_dict(gaussian.state_dict())
        encoder.requires_grad_(posterior.reads_encoder)
        if (told := method.decoder(context)) is not None:
            decoder.register_forward_pre_hook(lambda _, given: (told(given[0]),))
        prior = method.prior(context) or StandardNormalPrior(latent_dim)
        vae = VAE(encoder, posterior, prior, decoder, p_x, method.sampling(context))
    vae.equalization = replace(vae.equalization, delta=method.values.get("delta"))
    return vae
