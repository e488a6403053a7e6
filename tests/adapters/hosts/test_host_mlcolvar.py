"""mlcolvar's VAE: the noise of its units, targets and weights, and lambda in whatever Trainer fits it."""

import warnings

import pytest
import torch

pytest.importorskip("mlcolvar", reason="mlcolvar is not installed")

import lightning
from mlcolvar.cvs import VariationalAutoEncoderCV
from mlcolvar.data import DictDataset, DictModule

from lambda_vae import InputError
from lambda_vae.any_vae import diagnose
from lambda_vae.integrations import host
from lambda_vae.integrations.mlcolvar import diagnose_mlcolvar, equalize_mlcolvar

pytestmark = pytest.mark.filterwarnings("default")

chance = torch.Generator().manual_seed(0)
X = torch.randn(300, 2, generator=chance) @ torch.randn(2, 6, generator=chance) + 3.0
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def fitted(x=X, epochs=30, equalized=None, options=None, **parts):
    torch.manual_seed(0)
    beta = parts.pop("beta", 1.0)
    model = VariationalAutoEncoderCV(n_cvs=2, encoder_layers=[6, 16], beta=beta, options=options)
    if equalized is not None:
        equalize_mlcolvar(model, **equalized)
    data = DictModule(DictDataset({"data": x, **parts}), batch_size=60)
    lightning.Trainer(max_epochs=epochs, **QUIET).fit(model, data)
    return model, data


def own_loss(model, x, target=None, draws=300):
    with torch.no_grad():
        found = []
        for _ in range(draws):
            mean, logvar, out = model.eval().encode_decode(x)
            found.append(
                model.loss_fn(
                    target=x if target is None else target,
                    output=out,
                    mean=mean,
                    log_variance=logvar,
                    beta=model.beta,
                )
            )
    return float(torch.stack(found).mean())


@pytest.mark.parametrize(("beta", "unit"), [(1.0, 1.0), (0.1, 1.0), (1.0, 10.0)])
def test_the_bound_is_the_loss_of_mlcolvar_up_to_factor_and_constant(beta, unit):
    model, _ = fitted(unit * X, beta=beta)
    variance = torch.tensor(beta * 6 / 2)
    expected = own_loss(model, unit * X) / beta + 6 / 2 * float(torch.log(2 * torch.pi * variance))
    assert diagnose_mlcolvar(model, unit * X, iw_samples=64).nll_bound == pytest.approx(expected, rel=2e-2)


def test_the_same_data_in_other_units_keep_other_dimensions():
    found = [diagnose_mlcolvar(fitted(unit * X, 80)[0], unit * X, iw_samples=2) for unit in (0.1, 10.0)]
    assert found[0].verdict.startswith("0 of 2 dimensions are in use; 2 collapsed (2 decoder noise)")
    assert found[1].active_units == 2
    assert "noise of 1.73 in those units" in str(found[0])


def test_without_normalisation_and_with_a_target():
    target = X[:, :4] * 2.0
    torch.manual_seed(0)
    model = VariationalAutoEncoderCV(n_cvs=2, encoder_layers=[6, 16], decoder_layers=[16, 4], options={"norm_in": None})
    given = DictDataset({"data": X, "target": target})
    lightning.Trainer(max_epochs=30, **QUIET).fit(model, DictModule(given, batch_size=60))
    expected = own_loss(model, X, target) + 2 * float(torch.log(2 * torch.pi * torch.tensor(2.0)))
    report = diagnose_mlcolvar(model, given, iw_samples=64)
    assert report.nll_bound == pytest.approx(expected, rel=2e-2)
    assert "a mean over 4 features" in str(report)


def test_weights_of_ones_weigh_the_kl_by_the_batch_size():
    model, data = fitted(weights=torch.ones(len(X)))
    report = diagnose_mlcolvar(model, data, iw_samples=2)
    assert f"noise of {(60 * 3) ** 0.5:.3g} in those units" in str(report)
    assert "in batches of 60" in str(report)


def test_a_module_is_measured_on_its_validation_part_and_the_report_says_so():
    model, data = fitted()
    report = diagnose_mlcolvar(model, data, iw_samples=2)
    seen = data.val_dataloader().dataset["data"]
    assert report.nll_bound == pytest.approx(diagnose_mlcolvar(model, seen, iw_samples=2).nll_bound)
    assert "validation part of the DictModule" in str(report)


def test_another_loss_and_other_steps_are_refused_by_name():
    model = VariationalAutoEncoderCV(n_cvs=2, encoder_layers=[6, 16])
    model.loss_fn = torch.nn.MSELoss()
    with pytest.raises(InputError, match="another loss_fn, MSELoss, than mlcolvar's"):
        diagnose_mlcolvar(model, X)

    class Other(VariationalAutoEncoderCV):
        def training_step(self, batch, index):
            return super().training_step(batch, index)

    with pytest.raises(InputError, match="Other has another training_step"):
        equalize_mlcolvar(Other(n_cvs=2, encoder_layers=[6, 16]), 1.1)


def test_lambda_knows_the_epochs_of_the_trainer_and_leaves_an_ordinary_model(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, _ = fitted(10 * X, 9, equalized={"delta": 1.01, "release_epochs": 3, "refresh_every": 1})
    callback = model.configure_callbacks.callback
    assert callback.equalizer.total_epochs == 9
    assert bool((callback.equalizer.exponent == 1.0).all())
    plain = VariationalAutoEncoderCV(n_cvs=2, encoder_layers=[6, 16])
    plain.load_state_dict(model.state_dict())
    x = 10 * X[:5]
    assert torch.equal(plain(x), model(x))
    traced = model.to_torchscript(file_path=tmp_path / "cv.pt", method="trace")
    assert torch.equal(traced(x), plain(x))


def test_an_equalized_models_noise_is_that_which_it_was_trained_with():
    model, _ = fitted(10 * X, 9, equalized={"delta": 1.01, "refresh_every": 1})
    narrowed = diagnose_mlcolvar(model, 10 * X, iw_samples=2)
    plain = diagnose_mlcolvar(model, 10 * X, iw_samples=2, equalizer=None)
    assert narrowed.excess_kl > 0.0
    assert plain.excess_kl == 0.0
    with pytest.raises(InputError, match="equalized already"):
        equalize_mlcolvar(model, 1.2)


@pytest.mark.parametrize(("beta", "weight"), [(0.01, 0.01 * 3 / 0.5**2), (0.0, 0.0)])
def test_another_noise_is_another_weight_of_the_kl(monkeypatch, beta, weight):
    model, _ = fitted(epochs=1, beta=beta)
    given = {}
    monkeypatch.setattr(host, "diagnose", lambda *args, **options: given.update(options) or diagnose(*args, **options))
    diagnose_mlcolvar(model, X, std=0.5, iw_samples=2)
    assert given["kl_weight"] == pytest.approx(weight)
