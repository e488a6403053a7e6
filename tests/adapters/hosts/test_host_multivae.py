"""multivae's four models: its own likelihood whatever the modalities' laws, lambda on the draw that is meant."""

from importlib.util import find_spec

import pytest
import torch

if find_spec("multivae") is None:
    pytest.skip("multivae is not installed", allow_module_level=True)

from host_cases.multivae import HALVES, X, built, digits, trained
from multivae import models
from multivae.data import MultimodalBaseDataset
from multivae.models.base import base_utils
from sklearn.datasets import load_digits

from lambda_vae.errors import InputError
from lambda_vae.integrations.multivae import diagnose_multivae, equalize_multivae

pytestmark = pytest.mark.filterwarnings("default")
NAMES = "MVAE", "JMVAE", "MoPoE", "MVTCAE"
FOUR = {name: (getattr(models, name), getattr(models, f"{name}Config")) for name in NAMES}


def pair(part):
    labels = torch.nn.functional.one_hot(torch.tensor(load_digits().target)).float()
    return MultimodalBaseDataset({"top": X[part].reshape(-1, 1, 8, 8).round(), "bottom": labels[part]})


@pytest.mark.parametrize("name", FOUR)
def test_the_bound_is_the_models_own_joint_likelihood_from_many_samples(name):
    """Eval-mode draws are q's, so that importance weights of 300 samples agree with the model's own estimate."""
    model = trained(built(*FOUR[name], scale=1.0), epochs=2)
    report = diagnose_multivae(model, digits(slice(0, 60)), iw_samples=300)
    paper = getattr(model, "compute_joint_nll_paper", model.compute_joint_nll)
    assert report.nll_iw == pytest.approx(float(paper(digits(slice(0, 60)), 300)) / 60, abs=0.05)


@pytest.mark.parametrize("laws", [("laplace", "normal"), ("bernoulli", "categorical")])
def test_every_law_of_a_modality_is_the_models_own(laws):
    decoders_dist = dict(zip(HALVES, laws, strict=True))
    image = {"top": (1, 8, 8), "bottom": (10,)}
    model = built(decoders_dist=decoders_dist, decoder_dist_params={"top": {"scale": 0.4}}, input_dims=image)
    report = diagnose_multivae(model.eval(), pair(slice(0, 60)), iw_samples=300)
    assert report.nll_iw == pytest.approx(float(model.compute_joint_nll(pair(slice(0, 60)), 300)) / 60, abs=0.1)
    assert ("ends in a sigmoid" in " ".join(report.notes)) == ("bernoulli" in laws)


def test_a_law_that_the_config_does_not_name_is_refused():
    model = built().eval()
    model.set_decoders_dist(dict.fromkeys(HALVES, "laplace"), {})
    with pytest.raises(InputError, match="recon_log_probs are not those of its config"):
        diagnose_multivae(model, digits())


def step(monkeypatch, draw=None):
    """One training step of an MVAE with a narrow posterior: its three draws, and its KL terms."""
    model, zs, host = built(*FOUR["MVAE"]), [], base_utils.rsample_from_gaussian
    with torch.no_grad():
        for encoder in model.encoders.values():
            encoder.log_var.bias -= 2.0
    if draw is not None:
        equalize_multivae(model, 1.1, draw=draw).exponent.fill_(5.0)
    monkeypatch.setattr(
        "multivae.models.mvae.mvae_model.rsample_from_gaussian", lambda *given: zs.append(host(*given)) or zs[-1]
    )
    torch.manual_seed(1)
    metrics = model(digits(), epoch=100).metrics
    monkeypatch.undo()
    return zs, [metrics[name] for name in sorted(metrics) if name.startswith("kld")]


@pytest.mark.parametrize("draw", [0, 1, 2])
def test_mvae_has_lambda_on_the_draw_that_is_meant_and_its_kl_terms_stay(monkeypatch, draw):
    (plain, kls), (ours, our_kls) = step(monkeypatch), step(monkeypatch, draw)
    assert [k for k, (a, b) in enumerate(zip(plain, ours, strict=True)) if not a.equal(b)] == [draw]
    assert len(kls) == 3
    assert all(a.equal(b) for a, b in zip(kls, our_kls, strict=True))


def test_the_noise_that_the_joint_posterior_was_trained_with_is_measured_and_no_others():
    model = built(*FOUR["MVAE"])
    with torch.no_grad():
        for encoder in model.encoders.values():
            encoder.log_var.bias -= 2.0
    plain = diagnose_multivae(model.eval(), digits(), iw_samples=1).sampling_std
    for draw, narrower in ((1, False), (0, True)):
        equalize_multivae(model.train(), 1.1, draw=draw).exponent.fill_(5.0)
        found = diagnose_multivae(model.eval(), digits(), iw_samples=1).sampling_std
        assert bool((found < 0.9 * plain).all()) == narrower


@pytest.mark.parametrize("name", FOUR)
def test_its_trainer_refreshes_lambda_and_what_is_saved_loads_as_an_ordinary_model(name, tmp_path):
    model = built(*FOUR[name])
    equalizer = equalize_multivae(model, 1.01, refresh_every=1, total_epochs=4, release_epochs=2)
    trained(model)
    assert int(equalizer.epoch) == 4
    assert equalizer.target_exponent.gt(1).all()
    assert equalizer.exponent.eq(1).all()
    model.save(tmp_path)
    loaded = FOUR[name][0].load_from_folder(str(tmp_path)).eval()
    assert not [key for key in loaded.state_dict() if "equalizer" in key]
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in loaded.state_dict().items())


def test_causes_go_by_the_kl_weight_of_the_loss():
    from lambda_vae.integrations.multivae import _kl_weight

    assert _kl_weight(built(beta=4.0), "JMVAE") == 4.0
    assert _kl_weight(built(*FOUR["MVTCAE"]), "MVTCAE") == pytest.approx(2.5 * 0.9 / 0.95)
    for factors, weight in (((2.0, 2.0), 0.5), ((2.0, 1.0), None)):
        rescale = {"uses_likelihood_rescaling": True, "rescale_factors": dict(zip(HALVES, factors, strict=True))}
        assert _kl_weight(built(**rescale), "JMVAE") == weight


def test_the_default_noise_is_the_cause_of_the_default_collapse():
    model = trained(built(scale=1.0), epochs=8, data=digits(slice(0, 400)))
    report = diagnose_multivae(model, digits(slice(1400, 1797)), iw_samples=1)
    assert report.active_units == 0
    assert {str(cause) for cause in report.causes} == {"decoder noise"}
