"""Every model of pythae that has no Gaussian q or no KL in closed form is refused, by name and with the way round."""

import pytest
import torch

from lambda_vae.errors import InputError

pytest.importorskip("pythae")

from adapters.hosts.pythae_digits import SAFE, SHAPE, built
from pythae import models

from lambda_vae.integrations.pythae import CollapseCallback, diagnose_pythae, equalize_pythae

pytestmark = pytest.mark.usefixtures("quiet")

REFUSED = {
    models.BetaTCVAE: r"densities of q at the drawn z; use pythae's models.BetaVAE or models.FactorVAE instead",
    models.VAMP: r"learned prior is an estimate from samples; use pythae's models.VAE",
    models.IWAE: r"importance weights .* models.VAE",
    models.MIWAE: r"importance weights .* models.VAE",
    models.CIWAE: r"importance weights .* models.VAE",
    models.PIWAE: r"importance weights .* models.VAE",
    models.VAE_IAF: r"a flow follows .* models.VAE",
    models.VAE_LinNF: r"a flow follows .* models.VAE",
    models.HVAE: r"Hamiltonian steps .* models.VAE",
    models.RHVAE: r"Hamiltonian steps .* models.VAE",
    models.AE: r"a point and no posterior; use pythae's models.VAE",
    models.RAE_GP: r"a point and no posterior",
    models.RAE_L2: r"a point and no posterior",
    models.VQVAE: r"a point and no posterior",
    models.WAE_MMD: r"a point and no posterior; use pythae's models.INFOVAE_MMD",
    models.Adversarial_AE: r"has no KL.* models.INFOVAE_MMD",
    models.SVAE: r"on a sphere",
    models.PoincareVAE: r"hyperbolic",
}

#: Refused an equalizer, and diagnosed all the same.
MEASURED = (models.BetaTCVAE, models.IWAE, models.MIWAE, models.CIWAE, models.PIWAE)


def blank(kind):
    """A model of a kind without its networks; what it is, is all that is looked at."""
    model = object.__new__(kind)
    torch.nn.Module.__init__(model)
    return model


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_what_is_not_lambda_vaes_is_refused_by_name(kind, digits, tmp_path):
    with pytest.raises(InputError, match=rf"^{kind.__name__} cannot be equalized: .*{REFUSED[kind]}"):
        equalize_pythae(blank(kind), delta=1.1)
    with pytest.raises(InputError, match=rf"^{kind.__name__} cannot be watched: "):
        CollapseCallback().on_train_begin(None, model=blank(kind))
    if kind not in MEASURED:
        with pytest.raises(InputError, match=rf"^{kind.__name__} cannot be diagnosed: .*{REFUSED[kind]}"):
            diagnose_pythae(blank(kind), digits)


def test_models_with_a_gaussian_q_are_measured_though_not_equalized(digits):
    for kind in MEASURED:
        torch.manual_seed(0)
        config = getattr(models, f"{kind.__name__}Config")
        model = kind(config(input_dim=SHAPE, latent_dim=4, reconstruction_loss="bce")).eval()
        assert len(diagnose_pythae(model, digits[:50], iw_samples=1).verdicts) == 4


def test_every_model_of_pythae_is_known():
    kinds = {kind for name, kind in vars(models).items() if name in models.__all__ and "onfig" not in name}
    assert kinds - {models.BaseAE, models.AutoModel} == set(SAFE) | set(REFUSED)


def test_what_pythae_does_not_know_is_refused_with_the_way_round():
    class Mine(models.VAE):
        pass

    with pytest.raises(InputError, match=r"^Mine cannot be equalized: it is none of .*VAEGAN; .*vae\.equalize\("):
        equalize_pythae(blank(Mine), delta=1.1)
    with pytest.raises(InputError, match=r"^Linear cannot be diagnosed: .*vae\.diagnose\(encode, log_likelihood"):
        diagnose_pythae(torch.nn.Linear(2, 2), torch.zeros(3, 2))
    with pytest.raises(InputError, match=r"^VAEGAN cannot be watched: two of its losses .* diagnose_pythae after"):
        CollapseCallback().on_train_begin(None, model=blank(models.VAEGAN))
    model = built()
    first, update = equalize_pythae(model, delta=1.1), model.update
    assert equalize_pythae(model, delta=1.1) is first
    assert model.update is update
    with pytest.raises(
        InputError, match=r"VAE\._sample_gauss is equalized already, with delta=1\.1, where now delta=1\.2"
    ):
        equalize_pythae(model, delta=1.2)
