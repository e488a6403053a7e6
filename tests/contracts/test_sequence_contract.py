"""Every method with networks for sequences: it trains, resumes and is measured, or says in a sentence why it cannot."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lambda_vae.data import Dataset, Sequences, Split, Vocabulary
from lambda_vae.errors import InputError
from lambda_vae.estimation.flops import flop_counter
from lambda_vae.methods import METHODS, method_named
from lambda_vae.runs import GRU, LSTM, MLP, RunConfig, Transformer
from lambda_vae.runs._train import make_trainer
from lambda_vae.runs.counted_step import alike, count_step
from lambda_vae.runs.networks import Network
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.results import measure
from lambda_vae.training import Trainer, TrainOptions, checkpoints
from lambda_vae.training.interruption import StopRequest

V, LONGEST, ROWS, BATCH = 7, 9, 40, 10

#: Methods that read x as numbers, and what they say.
REFUSED = {
    "vamp-prior": "sequences of tokens; use flow-prior",
    "avb": "sequences of tokens; use iaf or flow",
    "latent-reconstruction": "tokens are no numbers",
}
SETTINGS = {"vamp-prior": {"pseudo_inputs": 5}, "beta-vae": {"beta": 2.0}, "lagging": {"aggressive_steps": 3}}


def toy() -> Dataset:
    """Sequences of one symbol each, mostly: what a code would carry."""
    random, rows = np.random.default_rng(0), []
    for length in random.integers(0, LONGEST, ROWS):
        symbol, others = random.integers(3, V), random.integers(3, V, length)
        rows.append(np.append(np.where(random.random(length) < 0.8, symbol, others), 1))
    rows[0] = np.append(np.full(LONGEST - 1, 3), 1)
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    part = Split(np.concatenate(rows).astype(np.uint8), None, offsets=offsets)
    vocabulary = Vocabulary("characters", ("<pad>", "<end>", "<unk>", *"abcd"))
    return Dataset("toy", "sequence", (LONGEST,), part, part, "", "made up", None, vocabulary=vocabulary)


def config_of(name: str, network: Network | None = None, **train: int) -> RunConfig:
    method = method_named(name).with_settings(**SETTINGS.get(name, {}))
    options = TrainOptions(**{"epochs": 2, "batch_size": BATCH, **train})
    return RunConfig(
        "toy", method, network or GRU(6, 7, word_dropout=0.3), latent_dim=2, train=options, evaluate_every=0
    )


def trainer_of(name: str, folder: Path | None = None) -> tuple[Run, Trainer]:
    run = Run.resolve(config_of(name), toy())
    return run, make_trainer(run, folder)


@cache
def trained(name: str) -> tuple[Run, Trainer]:
    run, trainer = trainer_of(name)
    trainer.fit()
    return run, trainer


NAMES = [name for name in METHODS if name not in REFUSED]


@pytest.mark.parametrize("name", REFUSED)
def test_what_reads_x_as_numbers_says_so_before_training(name: str) -> None:
    with pytest.raises(InputError, match=REFUSED[name]):
        Run.resolve(config_of(name), toy()).check()


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_is_finite_and_moves_every_weight(name: str) -> None:
    _run, begun = trainer_of(name)
    before = {key: value.clone() for key, value in begun.vae.state_dict().items()}
    _, trainer = trained(name)
    assert all(np.isfinite(value) for row in trainer.history.rows for value in row.scalars.values())
    dimensions = {key: values for row in trainer.history.rows for key, values in row.dimensions.items()}
    if name == "no-z":  # the ratio of two forces that are both 0 is not known
        assert np.isnan(dimensions.pop("gradient_ratio")).all()
    assert all(np.isfinite(values).all() for values in dimensions.values())
    still = [key for key, value in trainer.vae.state_dict().items() if torch.equal(value, before[key])]
    fixed = {key for key in before if key not in dict(trainer.vae.named_parameters())}
    if name == "no-z":  # neither the encoder nor what would read z is trained
        fixed |= {key for key in before if key.startswith("encoder.")} | {"decoder.state.weight"}
    assert set(still) <= fixed


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_run_is_measured(name: str) -> None:
    run, trainer = trained(name)
    report = measure(run, trainer.vae, trainer.history.to_record(), iw_samples=8)
    assert report.examples == ROWS
    assert np.isfinite([float(reading.value) for reading in report.likelihood.values()]).all()
    if name == "no-z":
        nll = float(report.likelihood["nll_bound"].value)
        assert float(report.likelihood["rate"].value) == float(report.dimensions.kl.value.sum()) == 0.0
        assert float(report.importance["q"].nll.value) == pytest.approx(nll, abs=1e-5)
    assert all(np.isfinite(float(found.nll.value)) for found in report.importance.values())
    assert report.residual is None


@pytest.mark.parametrize("name", NAMES)
def test_a_run_taken_up_in_the_middle_is_the_whole_one_bit_for_bit(name: str, tmp_path: Path) -> None:
    _, first = trainer_of(name, tmp_path)
    first.run_epoch(StopRequest(), 2)
    first.save()
    torch.rand(7)  # whatever else a process draws has no part in it
    _, second = trainer_of(name, tmp_path)
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    second.restore(checkpoints.load(newest))
    second.fit()
    whole, again = (trainer.vae.state_dict() for trainer in (trained(name)[1], second))
    assert [key for key in whole if not torch.equal(whole[key], again[key])] == []


EVERY = [GRU(6, 7), LSTM(6, 7, layers=2, both_directions=True), Transformer(8, heads=2)]


@pytest.mark.parametrize("network", EVERY)
def test_an_estimate_counts_what_a_step_of_that_size_takes(network: Network) -> None:
    """From steps of 2 and 3 examples to one of 10, at one length: every product of every kernel is in it."""
    run = Run.resolve(config_of("vae", network), toy())
    found, trainer = count_step(run), make_trainer(alike(run))
    trainer.run_epoch(StopRequest(), 1)
    with flop_counter() as counter:
        trainer.run_epoch(StopRequest(), 1)
    assert found.flops == pytest.approx(counter.get_total_flops(), rel=1e-6)
    weights = sum(weight.numel() for weight in trainer.vae.parameters() if weight.dim() > 1)
    assert counter.get_total_flops() > 2 * BATCH * weights
    lengths = toy().train.tensor().lengths.double()
    assert int(alike(run).dataset.train.tensor().lengths[alike(run).dataset.train.index()].double().std()) == 0
    assert lengths.max() == toy().train.tensor().lengths[alike(run, longest=True).dataset.train.index()[0]]


@pytest.mark.parametrize("network", EVERY)
def test_lambda_is_the_same_however_far_the_batches_are_padded(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, found = Sequences.index_select, []

    def wide(self: Sequences, dim: int, index: Tensor) -> Tensor:
        x = taken(self, dim, index)
        return torch.nn.functional.pad(x, (0, 5))

    for way in (taken, wide):
        monkeypatch.setattr(Sequences, "index_select", way)
        trainer = make_trainer(Run.resolve(config_of("lambda-vae", network), toy()))
        trainer.fit()
        assert trainer.vae.equalization.exponent is not None
        found.append(trainer.vae.equalization.exponent)
    assert (found[0] > 1.0).any()
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ("no-z", "vae")])
def test_without_z_there_is_nothing_to_combine(name: str) -> None:
    with pytest.raises(InputError, match="do not fit together: without z there is nothing"):
        method_named(f"no-z+{name}")


def test_networks_and_likelihoods_of_other_data_are_refused() -> None:
    with pytest.raises(InputError, match="toy holds sequences, and mlp does not take those; use network=gru, lstm"):
        Run.resolve(config_of("vae", MLP()), toy())
    x = np.zeros((ROWS, 4), np.float32)
    vectors = Dataset("toy", "vector", (4,), Split(x, None), Split(x, None), "", "made up", None)
    with pytest.raises(InputError, match="toy holds vectors, and gru does not take those; use network=mlp"):
        Run.resolve(config_of("vae"), vectors)
    with pytest.raises(InputError, match="toy holds sequences, and the likelihood gaussian is not for those"):
        Run.resolve(RunConfig("toy", network=GRU(), likelihood="gaussian"), toy())
    with pytest.raises(InputError, match="toy holds vectors, and the likelihood categorical is not for those"):
        Run.resolve(RunConfig("toy", likelihood="categorical"), vectors)
