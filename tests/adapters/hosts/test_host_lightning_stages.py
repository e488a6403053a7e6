"""One module under several Trainers, of every length: lambda is found again, and its release planned over each."""

import pytest
import torch

from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError

L = pytest.importorskip("lightning.pytorch", reason="lightning is an extra")

from adapters.hosts.lightning_digits import QUIET, LitVAE, fitted, loaders, trainer  # noqa: E402

from lambda_vae.integrations.lightning import EqualizeCallback  # noqa: E402

pytestmark = [*QUIET, pytest.mark.filterwarnings("ignore:epoch .*dimension")]

INF = float("inf")


class Exponents(L.Callback):
    """The greatest lambda of each epoch, as it was trained."""

    def __init__(self, equalizer):
        self.equalizer, self.seen = equalizer, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            self.seen.append(float(self.equalizer().exponent.max()))


def exponents(callback, model, epochs, **more):
    """Train a module with a callback; its lambda by epoch, and that after the last."""
    seen = Exponents(lambda: callback.equalizer)
    fitted(callback, seen, model=model, epochs=epochs, **more)
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    return [*seen.seen, float(callback.equalizer.exponent.max())]


def noise(model, std=0.5):
    mu = torch.zeros(40000, 4)
    return model.train().reparameterize(mu + torch.randn(4), torch.full_like(mu, std).log() * 2 + 1e-6 * mu).std(0)


@pytest.mark.parametrize(
    ("second", "taken_off"),
    [
        ({"delta": 1.05, "release_epochs": 2}, False),
        ({"delta": 1.05, "release_epochs": 2, "method": "reparameterize"}, False),
        ({"delta": 1.5, "release_epochs": 2}, True),
        ({"delta": 1.05, "release_epochs": 1}, True),
        ({"delta": INF}, True),
    ],
    ids=str,
)
def test_a_second_callback_goes_on_with_the_first_ones_lambda_or_takes_it_off(second, taken_off):
    model = LitVAE()
    first, callback = EqualizeCallback(4, 1.05, release_epochs=2), EqualizeCallback(4, **second)
    assert exponents(first, model, 4)[-1] == 1.0
    if taken_off:
        with pytest.warns(UserWarning, match=r"earlier EqualizeCallback at LitVAE.reparameterize \(.*\) is taken off"):
            seen = exponents(callback, model, 6)
    else:
        seen = exponents(callback, model, 6)
    assert (callback.equalizer is first.equalizer) is not taken_off
    assert len(callback.monitor.readings) == 6
    assert len(first.monitor.readings) == 4
    assert first.monitor.examples == 0  # no longer its affair
    assert (seen[0] > 1.0) is not taken_off  # one that was at work begins where it was
    assert (max(seen) > 1.0) is (second["delta"] < INF)
    assert seen[-1] == 1.0
    callback.equalizer.exponent = torch.full((4,), 3.0)
    expected = torch.full((4,), 0.5**3)
    assert torch.allclose(noise(model), expected, rtol=0.03)  # one lambda, not two


def test_the_same_callback_in_a_second_longer_trainer_is_planned_anew():
    model, callback = LitVAE(), EqualizeCallback(4, 1.05, release_epochs=2, refresh_every=1)
    first, second = exponents(callback, model, 3), exponents(callback, model, 6)
    assert first[-1] == second[-1] == 1.0
    assert min(second[:4]) > 1.0  # released over the last two epochs alone, the last at exactly 1
    assert second[5] == 1.0 < second[4] < second[3]
    assert len(callback.monitor.readings) == 9
    other = LitVAE()
    assert exponents(callback, other, 3)[0] == 1.0  # another module gets a lambda of its own
    assert len(callback.monitor.readings) == 3


def test_equalize_after_the_callback_finds_the_first_or_says_what_differs():
    model, callback = LitVAE(), EqualizeCallback(4, 1.05)
    exponents(callback, model, 3)
    assert equalize(model, 4, 1.05) is callback.equalizer
    with pytest.raises(InputError, match=r"equalized already, with delta=1\.05, where now delta=1\.2"):
        equalize(model, 4, 1.2)
    callback.equalizer.remove()
    assert equalize(model, 4, 1.2) is not callback.equalizer


class Own(LitVAE):
    """It draws through an equalizer of its own."""

    def __init__(self):
        super().__init__()
        self.lam = VarianceEqualizer(4, delta=1.05, release_epochs=1, total_epochs=2)

    def reparameterize(self, mu, logvar):
        return self.lam(mu, std=torch.exp(0.5 * logvar))


def equalized():
    model = LitVAE()
    equalize(model, 4, 1.05, release_epochs=1, total_epochs=2)
    return model


@pytest.mark.parametrize(
    ("make", "callback"),
    [
        (equalized, EqualizeCallback(every=1)),
        (equalized, EqualizeCallback(4, 1.05, release_epochs=1, every=1)),
        (Own, EqualizeCallback(every=1)),
    ],
    ids=["equalized, alone", "equalized, the same", "its own"],
)
def test_a_module_that_has_an_equalizer_is_taken_care_of_and_watched(make, callback):
    torch.manual_seed(1)
    model = make()
    own = next(one for one in model.modules() if isinstance(one, VarianceEqualizer))
    seen = exponents(callback, model, 5)
    assert callback.equalizer is own
    assert len(callback.monitor.readings) == 5
    assert float(callback.monitor.readings[-1].decoder_capacity.min()) > 0.0
    assert max(seen) > 1.0 == seen[-1]
    torch.manual_seed(1)
    other = EqualizeCallback(4, INF, every=1)
    exponents(other, LitVAE(), 1)
    first, plain = callback.monitor.readings[0], other.monitor.readings[0]  # the first epoch is at 1
    assert torch.equal(first.kl, plain.kl)
    assert torch.equal(first.gradient_ratio, plain.gradient_ratio)


@pytest.mark.parametrize(
    ("run", "release", "refused"),
    [
        ({"fast_dev_run": True}, 3, None),
        ({"epochs": None, "max_steps": 18}, 3, None),  # five epochs of four steps, the last cut short
        ({"epochs": -1, "max_steps": 18, "accumulate_grad_batches": 2}, 3, None),
        ({"epochs": 20, "max_steps": 18}, 3, None),
        ({"epochs": 5, "max_steps": 1000}, 3, None),
        ({"epochs": 5, "limit_train_batches": 2}, 3, None),
        ({"epochs": 2, "steps_per_epoch": 2}, 2, None),  # four of lambda's in two of the Trainer's
        ({"epochs": None, "max_steps": 9, "steps_per_epoch": 2}, 3, None),
        ({"epochs": None, "max_steps": 18}, 6, r"takes 6 epochs, and Trainer\(max_epochs=-1, max_steps=18\) trains 5"),
        ({"epochs": 5}, 6, "takes 6 epochs, and Trainer.* trains 5"),
        ({"epochs": -1, "max_time": "00:00:10:00"}, 3, r"does not tell how many epochs .*\(total_epochs=\.\.\."),
        ({"epochs": -1, "max_steps": 18, "manual": True}, 3, "does not tell how many epochs"),
    ],
    ids=str,
)
def test_a_release_is_planned_over_whatever_trainer_it_is_or_refused(run, release, refused):
    run = dict(run)
    steps = run.pop("steps_per_epoch", None)
    callback = EqualizeCallback(4, 1.05, release_epochs=release, refresh_every=1, steps_per_epoch=steps)
    if refused:
        with pytest.raises(InputError, match=refused):
            fitted(callback, **run)
        assert int(callback.equalizer.epoch) == 0
        return
    model = LitVAE()
    seen = exponents(callback, model, run.pop("epochs", 1), **run)
    if not run.get("fast_dev_run"):
        assert max(seen) > 1.0
        assert seen[-1] == 1.0
        assert steps or seen[-2] == 1.0
        assert len(callback.monitor.readings) == len(seen) - 1
    assert exponents(callback, model, 6)[-1] == 1.0  # a short try spoils nothing


@pytest.mark.parametrize(
    ("by", "total", "epochs"),
    [("EarlyStopping", None, 30), ("the Trainer", 30, 2)],
    ids=["EarlyStopping", "total_epochs"],
)
def test_a_release_that_was_not_reached_is_said_to_be_unfinished(by, total, epochs):
    callback = EqualizeCallback(4, 1.05, release_epochs=3, refresh_every=1, total_epochs=total)
    stopper = [L.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e9)] if total is None else []
    with pytest.warns(UserWarning, match="lambda is still") as caught:
        fitted(callback, *stopper, epochs=epochs)
    said = [str(one.message) for one in caught if "lambda is still" in str(one.message)]
    assert len(said) == 1
    assert "up to 20, for its release (epochs 28 to 30) was not reached: " in said[0]
    assert f"{by} ended the training after epoch 2;" in said[0]
    assert float(callback.equalizer.exponent.max()) == 20.0
    fitted(EqualizeCallback(4, INF, release_epochs=3, total_epochs=30), epochs=2)  # nothing to release: not a word


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"delta": "much", "latent_dim": 4}, "delta is 'much'; it must be a number greater than 1, or inf"),
        ({"delta": 0.9, "latent_dim": 4}, r"delta is 0\.9"),
        ({"delta": 1.1, "latent_dim": 4, "decay": 2.0}, r"decay is 2\.0"),
        ({"delta": 1.1, "latent_dim": 4, "release_epochs": 4, "total_epochs": 3}, "release_epochs is 4"),
        ({"release_epochs": 2}, "release_epochs is given without latent_dim and delta"),
        ({"delta": 1.1}, "give both, or neither"),
    ],
    ids=str,
)
def test_what_is_out_of_range_is_told_at_once(arguments, said):
    with pytest.raises(InputError, match=said):
        EqualizeCallback(**arguments)


def test_what_does_not_fit_the_module_is_refused_before_anything_is_trained():
    model = equalized()
    with pytest.raises(InputError, match=r"equalized already, with delta=1\.05, where now delta=1\.2"):
        fitted(EqualizeCallback(4, 1.2), model=model)
    assert model.losses == []
    for one in ("equalizer", "monitor"):
        with pytest.raises(InputError, match=f"no {one} before its first"):
            getattr(EqualizeCallback(4, 1.2), one)
    run, other = trainer(EqualizeCallback(4, 1.2), EqualizeCallback(4, 1.2, prefix="b/")), LitVAE()
    with pytest.raises(InputError, match="one place where z is drawn"):
        run.fit(other, *loaders())
    run = trainer(EqualizeCallback(4, 1.2), EqualizeCallback(4, 1.2, method="reparameterize"))
    with pytest.raises(InputError, match="two EqualizeCallbacks have prefix 'latent/'"):
        run.fit(LitVAE(), *loaders())
