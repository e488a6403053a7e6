"""Runs with a classifier in place of a KL: they resume bit for bit, and end with its name when it breaks or wins."""

import math
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from adversaries import MAKERS, aae, avb
from flat_runs import run_of
from small import STEPS, Tensors, at_step, differing, everything, raising

from lambda_vae.files import read_json
from lambda_vae.runs._train import train
from lambda_vae.training import Diverged, Interrupted, Trainer, adversarial, checkpoints

# Checkpoints.


def stopped(make: Any, folder: Path, **settings: Any) -> checkpoints.Checkpoint:
    with pytest.raises(Interrupted, match="epoch 2, step 3"):
        make(folder, view=at_step(STEPS + 2, raising(signal.SIGTERM)), **settings).fit()
    path = checkpoints.latest(folder)
    assert path is not None
    return checkpoints.load(path)


def resumed(make: Any, checkpoint: checkpoints.Checkpoint, **settings: Any) -> Tensors:
    again = make(**settings)
    again.restore(checkpoint)
    again.fit()
    return everything(again)


def straight(make: Any, **settings: Any) -> Tensors:
    trained = make(**settings)
    trained.fit()
    return everything(trained)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_interrupted_run_continues_bit_for_bit(make: Any, precision: str, tmp_path: Path) -> None:
    whole = straight(make, precision=precision)
    assert differing(resumed(make, stopped(make, tmp_path, precision=precision), precision=precision), whole) == []
    assert all(bool(tensor.isfinite().all()) for name, tensor in whole.items() if tensor.is_floating_point())


@pytest.mark.parametrize("spoiled", ["network.0.weight", "optimizer.0.exp_avg", "optimizer.3.step", "losses", "spare"])
def test_every_part_of_its_state_matters(spoiled: str, tmp_path: Path) -> None:
    checkpoint = stopped(aae, tmp_path)
    part = checkpoint.tensors[spoiled if spoiled == "spare" else f"strategy.{spoiled}"]
    part.copy_(torch.Generator().manual_seed(9).get_state() if spoiled == "spare" else part + 0.1)
    assert differing(resumed(aae, checkpoint), straight(aae)) != []


# Failures.


def fit_and_fail(trained: Trainer) -> str:
    with pytest.raises(Diverged) as caught:
        trained.fit()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def spoiling(made: list[Trainer], step: int, then: Any = int) -> Any:
    """A view that turns one weight of the classifier to NaN just before a step."""

    def spoil() -> None:
        with torch.no_grad():
            made[0].strategy.network[0].weight[0, 0] = math.nan
        then()

    return at_step(step, spoil)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("step", [STEPS, STEPS + 2, 2 * STEPS - 1])
def test_broken_discriminator_ends_the_run_and_is_named(make: Any, step: int, tmp_path: Path) -> None:
    made: list[Trainer] = []
    made.append(make(tmp_path, view=spoiling(made, step)))
    message = fit_and_fail(made[0])
    assert message == (
        "the discriminator diverged in epoch 2: its loss or its weights are not finite; the last good checkpoint is "
        "kept. Try `adversary_rate=0.001`"
    )
    assert checkpoints.latest(tmp_path) == checkpoints.path_of(tmp_path, 1, 0)


def test_weights_broken_by_the_last_step_are_noticed_before_the_checkpoint(tmp_path: Path) -> None:
    trained = aae(tmp_path)
    learn, calls = trained.strategy.learn, iter(range(1, 100))

    def breaking(*arguments: Any) -> None:
        learn(*arguments)
        if next(calls) == STEPS:
            with torch.no_grad():
                trained.strategy.network[0].weight[0, 0] = math.inf

    trained.strategy.learn = breaking
    assert fit_and_fail(trained).startswith("the discriminator diverged in epoch 1")
    assert checkpoints.latest(tmp_path) is None


def test_signal_after_its_breakdown_saves_no_bad_checkpoint(tmp_path: Path) -> None:
    made: list[Trainer] = []
    made.append(aae(tmp_path, view=spoiling(made, STEPS + 2, raising(signal.SIGTERM))))
    assert fit_and_fail(made[0]).startswith("the discriminator diverged in epoch 2")
    assert checkpoints.latest(tmp_path) == checkpoints.path_of(tmp_path, 1, 0)


def test_model_that_breaks_is_not_blamed_on_the_discriminator() -> None:
    made: list[Trainer] = []

    def poison() -> None:
        with torch.no_grad():
            made[0].vae.posterior.head.bias.fill_(math.nan)

    made.append(aae(view=at_step(STEPS + 2, poison)))
    assert fit_and_fail(made[0]).startswith("training diverged in epoch 2 at step 3: reconstruction is nan")


def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws of a prior that the encoder, which the tests leave alone, does not come near."""
    here = adversarial._prior_draws
    monkeypatch.setattr(adversarial, "_prior_draws", lambda trace: 20.0 + here(trace))


def test_discriminator_that_has_won_ends_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    far_away(monkeypatch)
    message = fit_and_fail(aae(tmp_path, weight=0.0, epochs=60))
    assert re.match(
        r"the discriminator won in epoch \d+: its cross-entropy was at most [0-9.e-]+ nats at every step "
        r"\(guessing is 0\.693, 0\.01 is the limit\), so it teaches the model nothing; the last good checkpoint is "
        r"kept\. Try `adversary_rate=0\.001` or a smaller `adversary_hidden`$",
        message,
    ), message


def test_one_step_above_the_limit_is_enough_to_go_on() -> None:
    trained = aae()
    trained.strategy.losses.fill_(1e-3)
    trained.strategy.losses[2] = 0.02
    assert trained.strategy.end_epoch(trained.stepper, trained.draws, 1)["adversary_loss"] == pytest.approx(
        (5e-3 + 0.02) / STEPS
    )
    assert (trained.strategy.losses == 0).all()


def test_posterior_far_from_its_prior_is_no_failure() -> None:
    """A rate of 12 nats is rightly seen through; the autoencoder's limit would end such a run."""
    trained = avb(adaptive=False)
    trained.strategy.losses.fill_(math.exp(-12.0))
    trained.strategy.end_epoch(trained.stepper, trained.draws, 1)


def test_failed_run_says_so_in_its_metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    far_away(monkeypatch)
    config = run_of(
        method="aae",
        epochs=6,
        hidden=(8,),
        latent_dim=2,
        adversary_weight=0.0,
        adversary_hidden=(8,),
        adversary_rate=0.05,
        trackers=(),
    )
    with pytest.raises(Diverged, match="the discriminator won"):
        train(config, tmp_path / "run")
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert metrics["status"] == "failed"
    assert metrics["failure"].startswith("the discriminator won in epoch")
