"""A run that was interrupted, or forked, ends bit for bit where the undisturbed one does."""

import re
import signal
from pathlib import Path

import pytest
import torch
from small import EPOCHS, STEPS, at_step, binarised, differing, equalizer, everything, raising, trainer
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.objectives import BetaELBO
from lambda_vae.training import EpochRow, Interrupted, Trainer, checkpoints


def lambda_trainer(folder: Path | None, release: int = 2, **settings: object) -> Trainer:
    return trainer(folder, exponents=equalizer(release), **settings)  # type: ignore[arg-type]


def newest(folder: Path) -> checkpoints.Checkpoint:
    path = checkpoints.latest(folder)
    assert path is not None
    return checkpoints.load(path)


@pytest.fixture(scope="module")
def straight() -> dict[str, Tensor]:
    trained = lambda_trainer(None)
    trained.fit()
    return everything(trained)


def interrupt(folder: Path, step: int, number: signal.Signals, **settings: object) -> Interrupted:
    with pytest.raises(Interrupted) as caught:
        lambda_trainer(folder, view=at_step(step, raising(number)), **settings).fit()
    return caught.value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("step", "where"),
    [
        (0, "epoch 1, step 1"),
        (STEPS - 1, "the end of epoch 1"),  # the refresh is due an epoch later
        (STEPS + 2, "epoch 2, step 3"),
        (2 * STEPS - 1, "the end of epoch 2"),
        (3 * STEPS + 1, "epoch 4, step 2"),  # the exponent still grows
        (5 * STEPS + 3, "epoch 6, step 4"),  # it is being released
    ],
)
def test_interrupted_run_continues_bit_for_bit(
    step: int, where: str, number: signal.Signals, straight: dict[str, Tensor], tmp_path: Path
) -> None:
    stopped = interrupt(tmp_path, step, number)
    assert str(stopped) == f"stopped by {number.name} at {where}; go on with `resume=True`"
    resumed = lambda_trainer(tmp_path)
    resumed.restore(newest(tmp_path))
    done = step + 1
    assert (resumed.epoch, resumed.step) == (done // STEPS, done % STEPS)
    resumed.fit()
    assert differing(everything(resumed), straight) == []


EVERYTHING = {
    "learning_rate_schedule": "cosine",
    "learning_rate_floor": 1e-4,
    "learning_rate_warm_up_epochs": 1.5,
    "accumulate": 4,
    "average_decay": 0.9,
    "clip_norm": 1.0,
}


@pytest.mark.parametrize("step", [2, STEPS - 1, 3 * STEPS + 1])
def test_schedules_parts_and_averages_continue_bit_for_bit(step: int, tmp_path: Path) -> None:
    undisturbed = lambda_trainer(None, **EVERYTHING)
    undisturbed.fit()
    interrupt(tmp_path, step, signal.SIGTERM, **EVERYTHING)
    resumed = lambda_trainer(tmp_path, **EVERYTHING)
    resumed.restore(newest(tmp_path))
    resumed.fit()
    assert differing(everything(resumed), everything(undisturbed)) == []
    assert "average.steps" in everything(resumed)


def test_run_interrupted_many_times_continues_bit_for_bit(straight: dict[str, Tensor], tmp_path: Path) -> None:
    for _ in range(20):
        resumed = lambda_trainer(tmp_path, view=at_step(3, raising(signal.SIGTERM)))
        if checkpoints.latest(tmp_path):
            resumed.restore(newest(tmp_path))
        try:
            resumed.fit()
        except Interrupted:
            continue
        break
    assert resumed.epoch == EPOCHS
    assert differing(everything(resumed), straight) == []


def test_position_in_the_epoch_counts_its_seconds_once(tmp_path: Path) -> None:
    interrupt(tmp_path, STEPS + 2, signal.SIGTERM)
    resumed = lambda_trainer(tmp_path)
    resumed.restore(newest(tmp_path))
    before = resumed.seconds
    assert before > 0
    assert resumed.fit().rows[1].scalars["seconds"] > before


@pytest.mark.parametrize(
    "spoiled", ["generator", "equalizer._extra_state", "trail", "moments.sums", "optimizer.0.step"]
)
def test_every_part_of_a_checkpoint_matters(spoiled: str, straight: dict[str, Tensor], tmp_path: Path) -> None:
    """The control: a checkpoint with one part changed does not give the same run."""
    interrupt(tmp_path, STEPS + 2, signal.SIGTERM)
    checkpoint = newest(tmp_path)
    part = checkpoint.tensors[spoiled]
    part.copy_(torch.Generator().manual_seed(9).get_state() if spoiled == "generator" else part + 1)
    resumed = lambda_trainer(None)
    resumed.restore(checkpoint)
    resumed.fit()
    assert differing(everything(resumed), straight) != []


def test_last_epoch_is_not_interrupted_at_its_end(straight: dict[str, Tensor], tmp_path: Path) -> None:
    trained = lambda_trainer(tmp_path, view=at_step(EPOCHS * STEPS - 1, raising(signal.SIGTERM)))
    trained.fit()
    assert differing(everything(trained), straight) == []


def test_handlers_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    interrupt(tmp_path, 1, signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_second_signal_is_let_through() -> None:
    seen: list[object] = []

    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        seen.append(signal.getsignal(signal.SIGTERM))

    with pytest.raises(Interrupted):
        trainer(view=at_step(1, twice)).fit()
    assert seen == [signal.SIG_DFL]


def test_interrupted_trainer_can_go_on_by_itself(straight: dict[str, Tensor], tmp_path: Path) -> None:
    trained = lambda_trainer(tmp_path, view=at_step(STEPS + 2, raising(signal.SIGTERM)))
    with pytest.raises(Interrupted):
        trained.fit()
    trained.fit()
    assert differing(everything(trained), straight) == []


def test_finished_run_is_left_alone(tmp_path: Path) -> None:
    trained = lambda_trainer(tmp_path)
    trained.fit()
    before = everything(trained)
    again = lambda_trainer(tmp_path)
    again.restore(newest(tmp_path))
    assert len(again.fit().rows) == EPOCHS
    assert differing(everything(again), before) == []


def test_readings_on_the_test_set_survive(tmp_path: Path) -> None:
    def listener(row: EpochRow, trained: Trainer) -> None:
        trained.history.test.append({"epoch": row.epoch, "nll_bound": float("nan") if row.epoch == 1 else 2.5})

    interrupt(tmp_path, 2 * STEPS, signal.SIGTERM, listeners=[listener])
    resumed = lambda_trainer(tmp_path, listeners=[listener])
    resumed.restore(newest(tmp_path))
    record = resumed.fit().to_record()
    assert [row["epoch"] for row in record["test"]] == list(range(1, EPOCHS + 1))
    assert record["epochs"] == list(range(1, EPOCHS + 1))
    assert record["test"][0]["nll_bound"] != record["test"][0]["nll_bound"]
    assert record["test"][1]["nll_bound"] == 2.5


def fork(folder: Path, epoch: int, release: int) -> dict[str, Tensor]:
    child = lambda_trainer(None, release)
    child.restore(checkpoints.load(checkpoints.path_of(folder, epoch, 0)))
    child.fit()
    return everything(child)


@pytest.mark.parametrize("release", [1, 2, 4])
def test_fork_equals_the_released_run_from_scratch(release: int, tmp_path: Path) -> None:
    """The exponent of the first released epoch is set at the end of the one before, so the fork lies one earlier."""
    first_released = EPOCHS - release + 1
    safe = first_released - 2
    lambda_trainer(tmp_path, 0, keep_checkpoints=(safe, safe + 1)).fit()
    scratch = lambda_trainer(None, release)
    exponents = scratch.fit().to_record()["dimensions"]["exponent"]
    expected = everything(scratch)
    assert differing(fork(tmp_path, safe, release), expected) == []
    assert exponents[-1] == [1.0, 1.0, 1.0]
    # The checkpoint after it holds the unreleased exponent already, and is too late.
    assert "history.dimensions.exponent" in differing(fork(tmp_path, safe + 1, release), expected)


def test_released_run_ends_in_an_ordinary_vae() -> None:
    trained = lambda_trainer(None)
    exponents = trained.fit().to_record()["dimensions"]["exponent"]
    assert trained.equalizer is not None
    assert torch.equal(trained.equalizer.exponent, torch.ones(3))
    assert min(exponents[3]) > 1.0
    assert exponents[EPOCHS - 1] == [1.0, 1.0, 1.0]
    assert max(exponents[EPOCHS - 2]) < max(exponents[EPOCHS - 3])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"latent": 4}, "another model: size mismatch"),
        ({"hidden": 9}, "another model: size mismatch"),
        ({"plain": True}, "another run: equalizer is True there and False here"),
        ({"batch_size": 10}, "another run: joint_batch is 8 there and 10 here"),
        ({"seed": 3}, "another run: seed is 0 there and 3 here"),
        ({"samples": 2}, "another run: samples is 1 there and 2 here"),
        ({"measure": False}, "another run: measure is True there and False here"),
        ({"x": torch.zeros(51, 12)}, "another run: examples is 50 there and 51 here"),
    ],
)
def test_checkpoint_of_another_run_is_refused(settings: dict[str, object], reason: str, tmp_path: Path) -> None:
    from small import vae

    lambda_trainer(tmp_path, epochs=1).fit()
    options = dict(settings)
    shape = {name: options.pop(name) for name in ("latent", "hidden") if name in options}
    plain = options.pop("plain", False)
    exponents = None if plain else equalizer(latent=shape.get("latent", 3))  # type: ignore[arg-type]
    other = trainer(None, model=vae(**shape), exponents=exponents, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"belongs to {re.escape(reason)}.*config\.yaml") as caught:
        other.restore(newest(tmp_path))
    assert "\n" not in str(caught.value)


def test_plain_checkpoint_is_refused_by_a_lambda_run(tmp_path: Path) -> None:
    trainer(tmp_path, epochs=1).fit()
    with pytest.raises(InputError, match="equalizer is False there and True here"):
        lambda_trainer(None).restore(newest(tmp_path))


def test_learning_rate_and_length_are_the_new_run_s_own(tmp_path: Path) -> None:
    trainer(tmp_path, epochs=1).fit()
    longer = trainer(None, epochs=2, learning_rate=1e-5, objective=BetaELBO(1.0), view=binarised)
    longer.restore(newest(tmp_path))
    before = longer.vae.posterior.head.weight.detach().clone()
    longer.fit()
    assert 0 < (longer.vae.posterior.head.weight - before).abs().max() <= 1.1 * STEPS * 1e-5  # Adam: about lr a step


def test_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(InputError, match=r"a batch of 51 is larger than the data .50 examples.; use `batch_size=50`"):
        trainer(batch_size=51)
