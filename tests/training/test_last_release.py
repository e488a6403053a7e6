"""What the last release wrote, and what it called things. Its checkpoints: commit d287c2d, two steps into epoch 4."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small import EPOCHS, differing, equalizer, everything, trainer
from test_resume import EVERYTHING

import lambda_vae.deprecated
import lambda_vae.training
from lambda_vae.errors import InputError
from lambda_vae.objectives import BetaELBO
from lambda_vae.training import AdversarialAutoencoder, JointUpdate, Lagging, LinearWarmUp, Trainer, checkpoints

OLD = Path(__file__).parent / "old"

RUNS: dict[str, Callable[[], Trainer]] = {
    "everything": lambda: trainer(exponents=equalizer(), **EVERYTHING),
    "lagging": lambda: trainer(exponents=equalizer(), strategy=Lagging(6, 2), schedule=LinearWarmUp(3)),
    "aae": lambda: trainer(objective=BetaELBO(0.0), strategy=AdversarialAutoencoder(2.0, (8,), 1e-2)),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_checkpoint_is_taken_up_to_the_last_bit(name: str) -> None:
    old, resumed = checkpoints.load(OLD / f"{name}.safetensors"), RUNS[name]()
    resumed.restore(old)
    now = resumed._checkpoint()
    assert differing(now.tensors, old.tensors) == []
    assert now.state["run"] == old.state["run"]
    assert now.state["seconds"] == old.state["seconds"]
    assert (resumed.epoch, resumed.step) == (3, 2)


@pytest.mark.parametrize("name", ["everything", "aae"])
def test_a_run_goes_on_where_it_would_have_gone(name: str) -> None:
    """To within rounding: where the checkpoint was written, it is to the last bit."""
    straight, resumed = RUNS[name](), RUNS[name]()
    resumed.restore(checkpoints.load(OLD / f"{name}.safetensors"))
    first, second = (everything(run) for run in (straight, resumed) if run.fit())
    assert len(resumed.history.rows) == EPOCHS
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=1e-3, atol=1e-3, msg=lambda m, key=key: f"{key}: {m}")


def test_names_of_the_last_release_warn_and_work() -> None:
    with pytest.warns(DeprecationWarning, match=r"training\.Joint is called lambda_vae\.training\.JointUpdate now"):
        assert lambda_vae.training.Joint is lambda_vae.training.JointUpdate
    trained = trainer()
    with pytest.warns(
        DeprecationWarning, match=r"training\.Trainer\.spare is called .*Trainer\.draws\.method_generator"
    ):
        assert trained.spare is trained.draws.method_generator
    q, x, eps = trained.vae.encode(torch.ones(2, 12)), torch.ones(2, 12), torch.zeros(1, 2, 3)
    with pytest.warns(DeprecationWarning, match=r"VAE\.onward is called VAE\.from_posterior now"):
        assert torch.equal(trained.vae.onward(q, x, eps).z, trained.vae.from_posterior(q, x, eps).z)
    for owner in (lambda_vae.training, trained):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            owner.nothing  # noqa: B018


def test_every_name_that_moved_away_from_the_trainer_is_found() -> None:
    trained = trainer()
    for name in lambda_vae.deprecated._NAMES["training.Trainer"]:
        with pytest.warns(DeprecationWarning, match="goes with the next release"):
            getattr(trained, name)


def test_a_strategy_of_the_last_release_is_refused_in_a_sentence() -> None:
    class Own(JointUpdate):
        def begin(self, trainer: Trainer) -> None: ...

    with pytest.raises(InputError, match=r"Own is a strategy of the last release.*take \(stepper, draws, \.\.\.\)"):
        trainer(strategy=Own())
