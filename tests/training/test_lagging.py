"""An encoder kept ahead of the decoder: which weights move, on which data, when it stops, and that it resumes."""

import math
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats
from small import BATCH, EPOCHS, STEPS, Tensors, at_step, data_and_noise, differing, everything, raising, trainer
from torch import Tensor

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.methods import Context, method_named
from lambda_vae.model import Trace
from lambda_vae.objectives import ELBO, Terms
from lambda_vae.training import Interrupted, Lagging, Trainer, checkpoints, lagging
from lambda_vae.training.lagging import mutual_information


def lagging_trainer(folder: Path | None = None, most: int = 6, window: int = 2, **settings: Any) -> Trainer:
    return trainer(folder, strategy=Lagging(most, window), **settings)


def always_rising(trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never let the encoder's lead end."""
    monkeypatch.setattr(trained.strategy, "_information", lambda *_: float(trained.epoch + 1))


def weights(trained: Trainer) -> Tensors:
    return {name: value.detach().clone() for name, value in trained.vae.named_parameters()}


def moved(before: Tensors, after: Tensors) -> set[str]:
    return {name.split(".")[0] for name in differing(before, after)}


# The mutual information.


def test_mutual_information_by_scipy(normal64) -> None:
    q, eps = DiagGaussian(normal64(250, 3), 0.3 * normal64(250, 3)), normal64(250, 3)
    z = np.asarray(q.mu + q.std * eps)
    pairs = stats.norm.logpdf(z[:, None], q.mu, q.std).sum(-1)
    expected = (np.diag(pairs) - special.logsumexp(pairs, axis=1) + math.log(250)).mean()
    assert float(mutual_information(q, eps)) == pytest.approx(expected, rel=1e-10)


def test_mutual_information_of_a_linear_gaussian(normal64) -> None:
    """mu ~ N(0, s^2), z = mu + eps: I = ln(1 + s^2) / 2 a dimension; 4,000 examples leave an error of some 0.02."""
    s = torch.tensor([0.5, 1.5], dtype=torch.float64)
    q = DiagGaussian(s * normal64(4000, 2), torch.zeros(4000, 2, dtype=torch.float64))
    exact = 0.5 * torch.log1p(s.square()).sum()
    assert float(mutual_information(q, normal64(4000, 2))) == pytest.approx(float(exact), abs=0.06)


def test_mutual_information_lies_between_0_and_the_log_of_the_number(normal64) -> None:
    zeros, eps = torch.zeros(8, 2, dtype=torch.float64), normal64(8, 2)
    assert float(mutual_information(DiagGaussian(zeros, zeros), eps)) == pytest.approx(0.0, abs=1e-12)
    apart = DiagGaussian(1e3 * normal64(8, 2), zeros)
    assert float(mutual_information(apart, eps)) == pytest.approx(math.log(8))


# Which weights move, on what.


def test_without_steps_of_its_own_it_is_the_plain_vae_bit_for_bit() -> None:
    plain, still = trainer(), lagging_trainer(most=0)
    plain.fit()
    still.fit()
    own = ("strategy.", "history.inner_steps", "history.mutual_information")
    other = {name: value for name, value in everything(still).items() if not name.startswith(own)}
    assert differing(everything(plain), other) == []
    assert [row.scalars["inner_steps"] for row in still.history.rows] == [0.0] * EPOCHS
    lively = lagging_trainer(most=1)
    lively.fit()
    assert "model.decoder.0.weight" in differing(everything(plain), everything(lively))


def test_encoder_moves_alone_and_then_the_decoder_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = lagging_trainer()
    optimizer_step, seen = trained.stepper.optimizer_step, []

    def watching(*arguments: Any, **more: Any) -> Any:
        before = weights(trained)
        step = optimizer_step(*arguments, **more)
        seen.append(moved(before, weights(trained)))
        return step

    monkeypatch.setattr(trained.stepper, "optimizer_step", watching)
    always_rising(trained, monkeypatch)
    trained.fit()
    inner = sum(int(row.scalars["inner_steps"]) for row in trained.history.rows)
    assert inner >= 2 * STEPS * EPOCHS
    assert seen.count({"encoder", "posterior"}) == inner
    assert seen.count({"decoder"}) == STEPS * EPOCHS == len(seen) - inner
    assert seen[0] == {"encoder", "posterior"}
    assert seen[-1] == {"decoder"}


def test_main_data_and_noise_are_those_of_every_method() -> None:
    seen = [data_and_noise(trained) for trained in (trainer(), lagging_trainer())]
    assert all(map(torch.equal, *seen))
    assert len(seen[1]) == 2 * STEPS * EPOCHS


def test_further_batches_are_others_and_come_from_the_second_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = lagging_trainer(epochs=1)
    used: list[tuple[torch.Generator, Tensor]] = []
    view = trained.draws.view

    def watching(x: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        used.append((generator, rows))
        return view(x, rows, generator)

    monkeypatch.setattr(trained.draws, "view", watching)
    monkeypatch.setattr(lagging, "mutual_information", lambda *_: torch.tensor(1.0))
    trained.fit()
    main = [rows for generator, rows in used if generator is trained.draws.generator]
    further = [rows for generator, rows in used if generator is trained.draws.method_generator]
    assert len(main) == STEPS
    assert len(further) == trained.history.rows[0].scalars["inner_steps"]
    assert len({tuple(rows.tolist()) for rows in further}) == len(further)
    assert all(rows.shape == (BATCH,) for rows in further)


def test_rows_that_are_held_out_are_never_seen() -> None:
    from small import binarised, probabilities, vae

    from lambda_vae.training import TrainOptions

    seen: set[int] = set()

    def view(x: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        seen.update(rows.tolist())
        return binarised(x, rows, generator)

    rows = torch.arange(10, 40)
    options = TrainOptions(epochs=2, batch_size=BATCH)
    Trainer(vae(), ELBO(), probabilities(), view, options, rows=rows, strategy=Lagging(6, 2)).fit()
    assert seen == set(rows.tolist())


# When it stops.


class Scripted(ELBO):
    """The ELBO with a mean that follows a script, call by call."""

    values: Any = iter(())

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        terms = super().__call__(trace, kl_weight)
        loss = 0.0 * terms.loss + next(self.values)
        return replace(terms, loss=loss)


@pytest.mark.parametrize(
    ("windows", "most", "expected"),
    [
        ([9.0, 8.0, 7.0, 7.5], 100, 8),  # until the first window that is no lower
        ([9.0, 9.0], 100, 4),
        ([9.0, 8.0, 7.0, 6.0, 5.0], 7, 7),  # to the limit, which need be no multiple of the window
        ([9.0, math.nan], 100, 4),
        ([9.0], 1, 1),
    ],
)
def test_encoder_is_trained_until_its_loss_stops_falling(
    windows: list[float], most: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scripted, "values", iter([value for value in windows for _ in range(2)]))
    trained = lagging_trainer(most=most, objective=Scripted())
    batch = trained.draws.batch(torch.arange(BATCH), 1.0, 0)
    trained.strategy._train_encoder(trained.stepper, trained.draws, batch)
    assert trained.strategy.inner_steps == expected


def test_lead_ends_for_good_when_the_mutual_information_no_longer_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = lagging_trainer()
    script = iter([0.5, 0.7, 0.7, 0.9, 1.1, 1.3])
    monkeypatch.setattr(trained.strategy, "_information", lambda *_: next(script))
    rows = trained.fit().rows
    assert [row.scalars["inner_steps"] > 0 for row in rows] == [True] * 3 + [False] * 3
    assert [row.scalars["mutual_information"] for row in rows] == [0.5, 0.7, 0.7, 0.9, 1.1, 1.3]


def test_mutual_information_is_estimated_on_the_same_rows_and_noise_every_time() -> None:
    trained = lagging_trainer()
    state = trained.draws.state_dict()
    first, second = (trained.strategy._information(trained.stepper, trained.draws) for _ in range(2))
    assert first == second
    assert differing(state, trained.draws.state_dict()) == []
    trained.fit()
    assert trained.strategy._information(trained.stepper, trained.draws) != first


# Checkpoints.


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("step", [2, 2 * STEPS + 2])
def test_interrupted_run_continues_bit_for_bit(
    step: int, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(trained: Trainer) -> None:
        """Send a signal within one main step, counted without the encoder's own batches."""
        take, count = trained._train_step, iter(range(10**6))
        monkeypatch.setattr(
            trained, "_train_step", lambda *a: (raising(signal.SIGTERM)() if next(count) == step else None, take(*a))
        )

    whole = lagging_trainer(precision=precision)
    whole.fit()
    assert whole.history.rows[0].scalars["inner_steps"] > 0
    broken = lagging_trainer(tmp_path, precision=precision)
    stopping(broken)
    with pytest.raises(Interrupted, match="step 3"):
        broken.fit()
    path = checkpoints.latest(tmp_path)
    assert path is not None
    again = lagging_trainer(precision=precision)
    again.restore(checkpoints.load(path))
    again.fit()
    assert differing(everything(again), everything(whole)) == []


@pytest.mark.parametrize(
    ("entry", "change"), [(0, -1.0), (1, -100.0), (2, 100.0)], ids=["aggressive", "information", "inner_steps"]
)
def test_every_part_of_its_state_matters(entry: int, change: float, tmp_path: Path) -> None:
    lagging_trainer(tmp_path, epochs=1).fit()
    path = checkpoints.latest(tmp_path)
    assert path is not None
    ends = []
    for added in (0.0, change):
        checkpoint = checkpoints.load(path)
        progress = checkpoint.tensors["strategy.progress"]
        assert progress[0] == 1.0
        progress[entry] += added
        again = lagging_trainer(epochs=3)
        again.restore(checkpoint)
        again.fit()
        ends.append(everything(again))
    assert differing(*ends) != []


def test_stop_between_two_batches_of_the_encoder_waits_for_the_step(tmp_path: Path) -> None:
    """A checkpoint never lies within a step: what a signal interrupts is the epoch."""
    trained = lagging_trainer(tmp_path, view=at_step(2, raising(signal.SIGTERM)))
    with pytest.raises(Interrupted, match="epoch 1, step 1"):
        trained.fit()


# The table.


@pytest.mark.parametrize(
    ("arguments", "what"), [((-1, 10), "aggressive_steps is -1; it must be"), ((10, 0), "aggressive_window is 0")]
)
def test_bad_numbers_are_refused(arguments: tuple[int, int], what: str) -> None:
    with pytest.raises(InputError, match=what):
        Lagging(*arguments)


@pytest.mark.parametrize("name", ["lagging", "lambda-vae+lagging", "lagging+warm-up", "lagging+free-bits"])
def test_it_composes_with_what_leaves_the_steps_alone(name: str) -> None:
    strategy = method_named(name).with_settings(aggressive_steps=3, aggressive_window=2).strategy(Context(30, 100))
    assert (strategy.most_steps, strategy.window) == (3, 2)
