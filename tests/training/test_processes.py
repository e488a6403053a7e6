"""Two processes train what one does on their joint batch, and stop together."""

import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from small import Tensors, equalizer, everything, trainer
from workers import two_processes, two_strategies, with_strategy

from lambda_vae.training import checkpoints

# Sums over two halves are rounded otherwise than over the whole, and Adam, which divides by the gradient's own size,
# carries that on: 1e-7 becomes some 1e-5 in a few dozen steps.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


def run_two(target: Callable[..., None], processes: ForkServerContext, folder: Path) -> None:
    """Run a function in two processes that know of each other."""
    port = free_port()
    started = [processes.Process(target=target, args=(rank, port, str(folder))) for rank in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]


@pytest.fixture(scope="module")
def ranks(folder: Path, processes: ForkServerContext) -> list[dict[str, Any]]:
    run_two(two_processes, processes, folder)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def single() -> Tensors:
    """One process with the joint batch."""
    trained = trainer(exponents=equalizer())
    trained.fit()
    return everything(trained)


def assert_close(tensors: Tensors, expected: Tensors) -> None:
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, expected[name], **CLOSE, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("run", ["straight", "resumed"])
def test_both_processes_hold_the_same(run: str, ranks: list[dict[str, Any]]) -> None:
    first, second = (rank[run]["everything"] for rank in ranks)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        if not name.startswith("trail"):
            assert torch.equal(tensor, second[name]), name


def test_two_processes_equal_one_with_the_joint_batch(ranks: list[dict[str, Any]], single: Tensors) -> None:
    """Weights, optimiser, lambda, and histories, per-dimension records included."""
    assert ranks[0]["straight"]["end"] == "done"
    assert (single["equalizer.target_exponent"] > 1.2).all()
    assert_close(ranks[0]["straight"]["everything"], single)


def test_chance_is_the_same_bit_for_bit(ranks: list[dict[str, Any]], single: Tensors) -> None:
    assert torch.equal(ranks[1]["straight"]["everything"]["generator"], single["generator"])


def test_histories_are_not_those_of_one_share(single: Tensors) -> None:
    """The control: half of the batch has clearly other records than the whole."""
    half = trainer(exponents=equalizer(), batch_size=4)
    half.fit()
    loss, other = single["history.loss"], everything(half)["history.loss"]
    assert not torch.allclose(loss, other, **CLOSE)


@pytest.mark.parametrize(("run", "position"), [("mid epoch", (1, 2)), ("epoch end", (2, 0))])
def test_signal_to_one_process_stops_both_at_the_same_place(
    run: str, position: tuple[int, int], ranks: list[dict[str, Any]], folder: Path
) -> None:
    first, second = (rank[run] for rank in ranks)
    assert tuple(first["position"]) == tuple(second["position"]) == position
    assert first["end"].startswith("Interrupted: stopped by another process at")
    assert second["end"].startswith("Interrupted: stopped by SIG")
    assert checkpoints.latest(folder / run) is not None


def test_two_processes_go_on_from_their_checkpoint(ranks: list[dict[str, Any]], single: Tensors) -> None:
    assert ranks[0]["resumed"]["end"] == "done"
    assert_close(ranks[0]["resumed"]["everything"], single)


@pytest.mark.parametrize(("run", "position"), [("mid epoch", (1, 2)), ("epoch end", (2, 0))])
@pytest.mark.usefixtures("ranks")
def test_one_process_goes_on_from_a_checkpoint_of_two(
    run: str, position: tuple[int, int], folder: Path, single: Tensors
) -> None:
    resumed = trainer(exponents=equalizer())
    resumed.restore(checkpoints.load(checkpoints.path_of(folder / run, *position)))
    assert (resumed.epoch, resumed.step) == position
    assert resumed.recorder.moments is not None
    assert resumed.recorder.moments.count == 8 * position[1]  # of both processes
    resumed.fit()
    assert_close(everything(resumed), single)


def test_divergence_in_one_process_stops_both(ranks: list[dict[str, Any]], folder: Path) -> None:
    for rank in ranks:
        assert rank["diverged"]["end"].startswith(
            "Diverged: training diverged in epoch 1 at step 1: reconstruction is nan"
        )
    assert checkpoints.latest(folder / "diverged") is None


@pytest.fixture(scope="module")
def strategies(folder: Path, processes: ForkServerContext) -> list[dict[str, Tensors]]:
    run_two(two_strategies, processes, folder)
    return [torch.load(folder / f"strategies{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", ["aae", "lagging", "semi-amortized"])
def test_strategies_train_on_two_processes_what_they_do_on_one(name: str, strategies: list[dict[str, Tensors]]) -> None:
    """A discriminator, its optimiser and its losses; the encoder's further batches and when they end; an improved q."""
    alone = with_strategy(name, 8)
    alone.fit()
    first, second = (rank[name] for rank in strategies)
    assert_close(first, everything(alone))
    for key, tensor in first.items():
        if not key.startswith("trail"):
            assert torch.equal(tensor, second[key]), key
