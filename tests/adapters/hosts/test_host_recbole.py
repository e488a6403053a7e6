"""recbole's MultiVAE: the noise that it draws, the KL that it charges, and its trainer's epochs."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

pytest.importorskip("recbole")

from hosts.recbole_ratings import parts

from lambda_vae.integrations.recbole import diagnose_recbole, equalize_recbole

pytestmark = pytest.mark.filterwarnings("default")


def users(model):
    return model.get_rating_matrix(torch.arange(1, model.n_users))


def test_the_noise_that_is_drawn_is_told_first_with_its_kl():
    model, trainer, data = parts(full_noise=False)
    trainer.fit(data, saved=False)
    report = diagnose_recbole(model, iw_samples=1)
    with torch.no_grad():
        _, mu, logvar = model.eval()(users(model))
    std = (0.5 * logvar).exp()
    drawn, charged = (float(kl_divergence(Normal(mu, s), Normal(0.0, 1.0)).sum(1).mean()) for s in (0.01 * std, std))
    told = f"draws z with 0.01 sigma and charges sigma: what it draws costs {drawn:.1f} nats of KL an example where "
    assert f"{told}{charged:.1f} are charged" in report.notes[0]
    assert report.rate == pytest.approx(charged, rel=1e-4)


def test_with_the_noise_of_its_kl_no_such_note_and_the_bound_is_the_loss():
    model, trainer, data = parts(dropout_prob=0.0, anneal_cap=1.0, total_anneal_steps=0)
    trainer.fit(data, saved=False)
    report = diagnose_recbole(model, iw_samples=1)
    assert not any("charges sigma" in note for note in report.notes)
    x = users(model)
    torch.manual_seed(0)
    with torch.no_grad():
        interaction = {model.USER_ID: torch.arange(1, model.n_users)}
        own = sum(float(model.train().calculate_loss(interaction)) for _ in range(400))
    left_out = float(torch.lgamma(x.sum(1) + 1).mean())
    assert report.nll_bound == pytest.approx(own / 400 - left_out, abs=0.15)


def test_the_kl_weight_that_was_reached_is_told():
    model, trainer, data = parts(total_anneal_steps=200)
    trainer.fit(data, saved=False)
    assert any(
        "The KL weight was 0.12 when the training ended" in note for note in diagnose_recbole(model, iw_samples=1).notes
    )
    model.update = 0  # as of a checkpoint
    assert any("KL weight is not known" in note for note in diagnose_recbole(model, iw_samples=1).notes)


def test_rows_may_be_given_and_are_left_in_the_models_mode():
    model, _, _ = parts()
    model.train()
    report = diagnose_recbole(model, iw_samples=1)
    assert model.training
    assert diagnose_recbole(model, users(model).numpy(), iw_samples=1).nll_bound == report.nll_bound


def test_the_trainer_ends_the_epochs_and_saves_nothing_of_ours():
    model, trainer, data = parts()
    equalizer = equalize_recbole(trainer, 1.01)
    trainer.fit(data, saved=False)
    assert int(equalizer.epoch) == 6
    assert bool((equalizer.exponent > 1.0).all())
    assert not any("equalizer" in name for name in model.state_dict())
    measured = diagnose_recbole(model, iw_samples=1)
    assert not any("charges sigma" in note for note in measured.notes)
    assert torch.equal(measured.exponent, equalizer.exponent)
    equalizer.remove()
    assert "_train_epoch" not in vars(trainer)


def test_a_release_ends_with_the_trainers_epochs():
    _, trainer, data = parts()
    equalizer = equalize_recbole(trainer, 1.01, release_epochs=3)
    trainer.fit(data, saved=False)
    assert bool((equalizer.exponent == 1.0).all())
