import pytest
import torch
from linear_gaussian import draw, linear_vae, loadings

from lambda_vae.any_vae import diagnose as diagnose_any
from lambda_vae.diagnostics import diagnose
from lambda_vae.diagnostics.unseen import overfit_note
from lambda_vae.errors import InputError
from lambda_vae.estimation.moments import Reading

WEIGHTS = loadings([8.0, 4.0])


def reading(value, stderr=0.1):
    return Reading(torch.tensor(value), torch.tensor(stderr), "nats per example")


def test_data_of_one_kind_give_one_bound_and_no_note():
    vae, x = linear_vae(WEIGHTS).eval(), draw(WEIGHTS, 4000)
    report = diagnose(vae, x[:2000], train_x=x[2000:], iw_samples=1)
    assert float(report.nll_bound_train.value) == pytest.approx(report.nll_bound, abs=0.5)
    assert report.to_dict()["nll_bound_train"] == float(report.nll_bound_train.value)
    assert report.notes == ()


def test_training_data_that_are_described_better_are_told():
    vae, x = linear_vae(WEIGHTS).eval(), draw(WEIGHTS, 4000)
    report = diagnose(vae, x[:2000], train_x=0.5 * x[2000:], iw_samples=1)
    assert "nats worse: a part of what the code says was learnt by heart" in report.notes[0]


@pytest.mark.parametrize(("here", "word"), [(12.0, "worse"), (8.0, "better"), (10.2, None), (10.1, None)])
def test_note_needs_more_than_chance(here, word):
    note = overfit_note(reading(10.0), reading(here))
    assert (note is None) if word is None else (word in note)
    assert overfit_note(reading(10.0, 3.0), reading(here, 3.0)) is None


def test_training_data_of_one_example_are_refused():
    with pytest.raises(InputError, match="fewer than 2 examples"):
        diagnose(linear_vae(WEIGHTS).eval(), draw(WEIGHTS, 50), train_x=draw(WEIGHTS, 1), iw_samples=1)


def test_two_callables_take_training_data_too():
    model = linear_vae(WEIGHTS).eval()

    def encode(x):
        q = model.encode(x.double())
        return q.mu, q.logvar

    def log_likelihood(x, z):
        return model.decode(z.double()).log_prob(x.double())

    x = draw(WEIGHTS, 4000)
    report = diagnose_any(encode, log_likelihood, x[:2000], train_data=(0.5 * x[2000:]).split(500), iw_samples=1)
    assert "learnt by heart" in " ".join(report.notes)
    same = diagnose_any(encode, log_likelihood, x[:2000], train_data=x[2000:].numpy(), iw_samples=1)
    assert "learnt by heart" not in " ".join(same.notes)
