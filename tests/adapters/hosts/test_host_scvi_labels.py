"""SCANVI, whose prior is learned of classes and a second latent: every number beside scvi's own."""

import copy
import logging
import math

import numpy as np
import pytest
import torch

pytest.importorskip("scvi", reason="scvi-tools is not installed")

import anndata
import scvi
from scvi.model import SCANVI
from torch.distributions import Normal

from lambda_vae.errors import InputError
from lambda_vae.integrations.scvi import CollapseCallback, diagnose_scvi, equalize_scvi
from lambda_vae.integrations.scvi_cells import Cells, columns_of
from lambda_vae.integrations.scvi_labels import Labelled

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:scvi"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torchmetrics"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def annotated(**options):
    """SCANVI of 200 cells of three kinds, a third of them without a label, after 5 epochs."""
    for name in ("lightning.pytorch", "lightning.fabric.utilities.seed", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    chance = np.random.default_rng(0)
    kind = chance.integers(0, 3, 200)
    cells = anndata.AnnData(chance.poisson(np.exp(chance.normal(1.0, 1.0, (3, 30)))[kind]).astype(np.float32))
    cells.obs["kind"] = np.where(np.arange(200) % 3 == 0, "unknown", np.array(["a", "b", "c"])[kind])
    cells.obs["batch"] = [str(i % 2) for i in range(200)]
    SCANVI.setup_anndata(cells, labels_key="kind", unlabeled_category="unknown", batch_key="batch")
    torch.manual_seed(0)
    model = SCANVI(cells, **({"n_latent": 4, "n_hidden": 16, "gene_likelihood": "nb"} | options))
    scvi.settings.seed = 3
    model.train(max_epochs=5, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"lr": 1e-2})
    scvi.settings.seed = None
    return model


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(1)


@pytest.fixture(scope="module")
def model():
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PL_GLOBAL_SEED", "")
        return annotated()


def cells_of(model):
    loader = model._make_data_loader(model.adata, batch_size=200)
    columns = columns_of(loader)
    return Labelled(model.module, columns), torch.cat([next(iter(loader))[name].float() for name, *_ in columns], 1)


def test_the_bound_is_minus_scvis_own_elbo(model):
    report = diagnose_scvi(model, indices="all")
    draws = np.array([float(model.get_elbo()) for _ in range(32)])
    assert report.nll_bound == pytest.approx(-draws.mean(), abs=5.0 * draws.std() * (1 / 32 + 1 / 8) ** 0.5)
    assert report.nll_iw < report.nll_bound
    # a labelled cell and one without a label
    few = diagnose_scvi(model, indices=[3, 4] * 200, iw_samples=2).nll_bound
    own = model.get_elbo(indices=[3, 4] * 400, return_mean=False, batch_size=800).view(-1, 2).mean(1)
    assert few == pytest.approx(-float(own.mean()), abs=5.0 * float(own.std()) * (1 / 200 + 1 / 400) ** 0.5)
    assert "KL(z2) and KL(y)" in str(report)
    assert "Known labels are no part of that prior" in str(report)


@pytest.mark.parametrize(
    "options",
    [{"use_observed_lib_size": False}, {"linear_classifier": True, "y_prior": torch.tensor([[0.6, 0.3, 0.1]])}],
)
def test_so_it_is_with_a_latent_library_size_and_another_prior_of_classes(options, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "")
    other = annotated(**options)
    draws = np.array([float(other.get_elbo()) for _ in range(32)])
    bound = diagnose_scvi(other, indices="all", iw_samples=2).nll_bound
    assert bound == pytest.approx(-draws.mean(), abs=5.0 * draws.std() * (1 / 32 + 1 / 8) ** 0.5)


def ancestral(module, count):
    """Draws of z1 from the learned prior, and the Gaussians that they were drawn from."""
    y = torch.multinomial(module.y_prior[0], count, replacement=True)[:, None]
    mean, variance = module.decoder_z1_z2(torch.randn(count, module.n_latent), y)
    return Normal(mean, variance.sqrt())


def test_the_prior_has_the_moments_of_the_learned_one(model):
    prior = cells_of(model)[0].prior
    with torch.no_grad():
        drawn = ancestral(model.module, 100_000).sample()
    assert torch.allclose(prior.mean, drawn.mean(0), atol=0.03)
    assert torch.allclose(prior.stddev, drawn.std(0), rtol=0.03)


def test_importance_weights_of_the_learned_prior_do_not_exceed_it(model):
    cells, rows = cells_of(model)
    with torch.no_grad():
        z = cells.encode(rows).sample()
        without = Cells.log_likelihood(cells, rows, z) - cells.prior.log_prob(z).sum(-1)
        learned = torch.stack([cells.log_likelihood(rows, z) - without for _ in range(200)])
        each = ancestral(model.module, 20_000)
        own = torch.stack([each.log_prob(one).sum(-1).logsumexp(0) for one in z]) - math.log(20_000)
    excess = (learned.logsumexp(0) - math.log(200) - own).exp()
    assert float(excess.mean()) < 1.02
    assert float(excess.mean()) > 0.5  # and they are near to it


def test_the_gradient_in_z_is_the_decoders_alone(model):
    cells, rows = cells_of(model)
    z = cells.encode(rows).mean.detach().requires_grad_()
    (whole,) = torch.autograd.grad(cells.log_likelihood(rows, z).sum(), z)
    (decoder,) = torch.autograd.grad(Cells.log_likelihood(cells, rows, z).sum(), z)
    assert torch.equal(whole, decoder)
    assert math.isinf(cells.options({})["thresholds"].sharpness)


def test_chance_and_the_model_are_left_as_they_were(model):
    before, state = copy.deepcopy(model.module.state_dict()), torch.random.get_rng_state()
    diagnose_scvi(model, iw_samples=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], weight) for name, weight in model.module.state_dict().items())


def test_what_would_make_the_bound_another_is_refused(model, monkeypatch):
    with pytest.raises(InputError, match="SCANVI's prior is its own, learned one"):
        diagnose_scvi(model, prior=Normal(0.0, 1.0))
    for wanted, call in (
        ("equalized", lambda: equalize_scvi(model, delta=1.1)),
        ("watched", lambda: model.train(1, callbacks=[CollapseCallback()], accelerator="cpu")),
    ):
        with pytest.raises(
            InputError, match=f"SCANVI cannot be {wanted}: its KL is an estimate at the z that is drawn"
        ):
            call()
    model.module.eval()
    loss = model.module.loss

    def changed(*given, **named):
        lost = loss(*given, **named)
        lost.kl_local["kl_local"] += 3.0
        return lost

    monkeypatch.setattr(model.module, "loss", changed)
    with pytest.raises(InputError, match=r"the own loss of SCANVAE is .* KL\(z2\) and KL\(y\) make .*something else"):
        diagnose_scvi(model, iw_samples=2)
