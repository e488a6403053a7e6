"""TOTALVI measured: its bound beside scvi's own, its latent background beside an integral."""

import numpy as np
import pytest
import torch

pytest.importorskip("scvi", reason="scvi-tools is not installed")

import scvi
from adapters.hosts.scvi_iid import QUIET, quiet_scvi  # noqa: F401 - a fixture
from scvi.distributions import NegativeBinomialMixture
from scvi.model import TOTALVI
from torch.distributions import Normal, kl_divergence

from lambda_vae.errors import InputError
from lambda_vae.integrations.scvi import diagnose_scvi, equalize_scvi
from lambda_vae.integrations.scvi_cells import columns_of
from lambda_vae.integrations.scvi_proteins import Proteins

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:The lr scheduler dict:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:Some proteins have all 0 counts"),
]


def model_of(keys=None, proteins=5, unmeasured=False, epochs=2, **options):
    scvi.settings.seed = 0
    cells = scvi.data.synthetic_iid(batch_size=60, n_genes=12, n_proteins=proteins, n_regions=0)
    cells.obs["donor"] = np.random.default_rng(0).choice(["a", "b"], cells.n_obs)
    if unmeasured:  # scvi reads a batch whose counts are all 0 as one without the protein
        cells.obsm["protein_expression"][(cells.obs.batch == "batch_1").to_numpy(), :2] = 0
    TOTALVI.setup_anndata(cells, protein_expression_obsm_key="protein_expression", **(keys or {}))
    settings = {"n_latent": 4, "n_hidden": 16, "empirical_protein_background_prior": False}
    model = TOTALVI(cells, **(settings | options))
    model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, n_epochs_kl_warmup=1)
    return model


MODELS = {
    "plain": {},
    "zinb, covariates": {
        "keys": {"batch_key": "batch", "categorical_covariate_keys": ["donor"]},
        "gene_likelihood": "zinb",
    },
    "latent library": {"keys": {"batch_key": "batch"}, "use_observed_lib_size": False},
    "unmeasured proteins": {"keys": {"batch_key": "batch"}, "unmeasured": True},
    "logistic normal": {"latent_distribution": "ln"},
}


@pytest.mark.parametrize("name", MODELS)
def test_the_bound_is_minus_scvis_own_elbo_without_what_belongs_to_no_cell(name):
    model = model_of(**MODELS[name])
    report = diagnose_scvi(model, indices="all", iw_samples=64)
    assert (model.module.protein_batch_mask is not None) == (name == "unmeasured proteins")
    module, tensors = model.module.eval(), next(iter(model._make_data_loader(model.adata, batch_size=200)))
    with torch.no_grad():
        inferred, made = module(tensors, compute_loss=False)
        efficiency, q = made["per_batch_efficiency"], inferred["qz"]
        extra = float((efficiency.log() + efficiency.log() ** 2 / 2 + np.log(2 * np.pi) / 2).sum(1).mean())
        extra += float(1e-3 * torch.nn.functional.softplus(-made["py_"]["mixing"]).sum(1).mean())
    own = np.array([-float(model.get_elbo()) for _ in range(32)])
    assert report.nll_bound == pytest.approx(own.mean() - extra, abs=5.0 * own.std() * (1 / 32 + 1 / 64) ** 0.5 + 1e-2)
    assert f"-get_elbo() is higher than nll_bound by {extra:.2f} nats" in str(report)
    assert torch.allclose(report.kl.float(), kl_divergence(q, Normal(0.0, 1.0)).mean(0), rtol=1e-3, atol=1e-5)
    assert report.nll_iw < report.nll_bound


def test_draws_of_the_background_make_an_unbiased_density():
    """The mean of exp(log_likelihood) is the integral over the background's mean, which importance weights rely on."""
    model = model_of(proteins=2, epochs=20)
    module = model.module.eval()
    spread = module.decoder.py_back_mean_log_beta.fc_layers[0][0]
    with torch.no_grad():  # wide, so that few draws see the whole integral
        spread.weight.zero_()
        spread.bias.fill_(0.7)
    loader = model._make_data_loader(model.adata, indices=[5], batch_size=1)
    cells = Proteins(module, columns_of(loader))
    row = next(iter(cells.rows(loader)))
    tensors, z = cells.tensors(row), torch.full((1, 4), 0.3)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = cells.log_likelihood(row.repeat(20_000, 1), z.repeat(20_000, 1)).double()
        inferred = cells.inferred(tensors) | {"z": z}
        made = cells._generated(tensors, inferred)
        genes = -module.loss(tensors, inferred, made).reconstruction_loss["reconst_loss_gene"].double()
        b = torch.linspace(-15.0, 15.0, 6001).double()[:, None]
        py, scale = made["py_"], made["per_batch_efficiency"]
        law = NegativeBinomialMixture(
            scale * b.exp(), scale * b.exp() * py["fore_scale"], py["r"], mixture_logits=py["mixing"]
        )
        density = (law.log_prob(tensors["proteins"]) + inferred["back_mean_prior"].log_prob(b)).exp().sum(0) * 0.005
    exact = float(genes + density.log().sum())
    assert float(drawn.logsumexp(0)) - np.log(20_000) == pytest.approx(exact, abs=0.05)
    assert float(drawn.mean()) < exact


def test_dead_dimensions_are_found_and_lambda_is_refused():
    model = model_of(epochs=10)
    encoder = model.module.encoder
    with torch.no_grad():
        for part in (encoder.z_mean_encoder, encoder.z_var_encoder):
            part.weight[[1, 2]] = 0.0
            part.bias[[1, 2]] = 0.0
        encoder.z_mean_encoder.weight[[0, 3]] *= 10.0
    report = diagnose_scvi(model, iw_samples=2)
    assert [k for k, verdict in enumerate(report.verdicts) if verdict == "collapsed"] == [1, 2]
    with pytest.raises(InputError, match="TOTALVI cannot be equalized: its EncoderTOTALVI draws z inside"):
        equalize_scvi(model, 1.1)


def test_a_loss_that_holds_something_else_is_refused():
    model = model_of()
    loss = model.module.loss

    def changed(*given, **named):
        lost = loss(*given, **named)
        lost.kl_local["more"] = torch.full_like(lost.kl_local["kl_div_z"], 3.0)
        return lost

    model.module.loss = changed
    with pytest.raises(InputError, match=r"the own loss of TOTALVAE is .* nats a cell where .* holds something else"):
        diagnose_scvi(model, iw_samples=2)
