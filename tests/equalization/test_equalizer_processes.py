"""Two processes under DistributedDataParallel hold the exponent of their joint data."""

import copy
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from lambda_vae.equalization import VarianceEqualizer, optimal_exponent

EPOCHS, STEPS = 4, 3


class Model(nn.Module):
    """A decoder behind the equalizer, and a buffer that tells whether it was overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.equalizer = VarianceEqualizer(3, 1.05)
        self.decoder = nn.Linear(3, 2)
        self.register_buffer("rank", torch.zeros(()))

    def forward(self, mu: Tensor, std: Tensor) -> Tensor:
        return self.decoder(self.equalizer(mu, std))


def stds(rank: int, epoch: int, step: int) -> Tensor:
    """Batches that differ in spread and in length from process to process."""
    generator = torch.Generator().manual_seed(100 * rank + 10 * epoch + step)
    return (0.1 + 0.4 * rank) + 0.4 * torch.rand(4 + 3 * rank, 3, generator=generator)


def work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = Model()
    parallel = DistributedDataParallel(model)
    history = []
    for epoch in range(EPOCHS):
        for step in range(STEPS):
            model.rank.fill_(rank)
            std = stds(rank, epoch, step)
            parallel(torch.zeros_like(std), std).sum().backward()
        seen = model.equalizer.get_extra_state()
        model.equalizer.end_epoch()
        state = {name: value.clone() for name, value in model.equalizer.state_dict().items()}
        history.append({"seen": seen, "rank": model.rank.clone(), **state})
    torch.save(history, Path(folder) / f"rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("processes")
    mp.start_processes(work, args=(str(folder),), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def joint() -> list[dict[str, Tensor]]:
    """One process that sees the data of both."""
    equalizer, history = VarianceEqualizer(3, 1.05), []
    for epoch in range(EPOCHS):
        for step in range(STEPS):
            for rank in range(2):
                equalizer.observe(stds(rank, epoch, step))
        equalizer.end_epoch()
        history.append({name: value.clone() for name, value in equalizer.state_dict().items()})
    return history


def test_processes_hold_the_same_state_after_every_epoch(histories: list[list[dict[str, Tensor]]]) -> None:
    for first, second in zip(*histories, strict=True):
        for name in ("exponent", "target_exponent", "running_std", "epoch", "_extra_state"):
            assert torch.equal(first[name], second[name]), name


def test_processes_hold_the_exponent_of_the_joint_data(
    histories: list[list[dict[str, Tensor]]], joint: list[dict[str, Tensor]]
) -> None:
    for parallel, single in zip(histories[1], joint, strict=True):
        for name in ("exponent", "target_exponent", "running_std"):
            torch.testing.assert_close(parallel[name], single[name], rtol=1e-6, atol=0)
        # shares of two processes: half of the sum each, whole again at the next all-reduce
        torch.testing.assert_close(2 * parallel["_extra_state"], single["_extra_state"], rtol=1e-12, atol=0)
    assert (joint[1]["exponent"] > 1.5).all()


def test_statistics_survive_the_broadcast_of_buffers(histories: list[list[dict[str, Tensor]]]) -> None:
    first, second = histories[0][0], histories[1][0]
    assert second["rank"] == 0  # the broadcast did happen
    assert first["seen"][-1, 0] == 4 * STEPS
    assert second["seen"][-1, 0] == 7 * STEPS
    expected = sum(stds(1, 0, step).double().sum(0) for step in range(STEPS))
    torch.testing.assert_close(second["seen"][0], expected, rtol=1e-12, atol=0)


class Host(nn.Module):
    """Weights beside lambda, for those who shard them."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.equalizer = nn.Linear(4, 6), VarianceEqualizer(3, 1.05, refresh_every=1)

    def forward(self, x: Tensor) -> Tensor:
        mu, std = self.encoder(x).chunk(2, dim=-1)
        return self.equalizer(mu, std.sigmoid())


def of_lambda(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name.startswith("equalizer.")}


def sharded(rank: int) -> dict[str, Any]:
    """FSDP2 from the meta device, its state dicts, and what comes back of them."""
    with torch.device("meta"):
        host = Host()
    fully_shard(host, mesh=init_device_mesh("cpu", (2,)))
    host.to_empty(device="cpu")
    plain = Host()
    for _ in range(2):
        plain.equalizer.observe(torch.full((5, 3), 0.7))
        plain.equalizer.end_epoch()
    plain.equalizer.observe(torch.full((5, 3), 0.6))
    plain.equalizer.gather()
    expected = {name: value.clone() for name, value in plain.state_dict().items()}
    set_model_state_dict(host, plain.state_dict(), options=StateDictOptions(full_state_dict=True))
    loaded = {name: value.clone() for name, value in of_lambda(host.state_dict()).items()}
    host(torch.randn(7, 4)).sum().backward()
    host.equalizer.end_epoch()
    part = get_model_state_dict(host)
    again = Host()
    fully_shard(again, mesh=init_device_mesh("cpu", (2,)))
    set_model_state_dict(again, part)
    full = get_model_state_dict(host, options=StateDictOptions(full_state_dict=True))
    return {
        "expected": of_lambda(expected),
        "loaded": loaded,
        "part": of_lambda(part),
        "again": of_lambda(again.state_dict()),
        "full": of_lambda(full),
        "examples": float(host.equalizer.running_std[0]),
    }


def said(act: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [str(one.message) for one in caught]


def epoch(equalizer: VarianceEqualizer, std: Tensor) -> None:
    equalizer.observe(std)
    equalizer.end_epoch()


def grouped(rank: int) -> dict[str, Any]:
    """Two models in one group, then each in its own; a checkpoint in the middle of an epoch; one that loads alone."""
    chance = torch.Generator().manual_seed(rank)
    results: dict[str, Any] = {}
    std = torch.stack((torch.full((50,), (0.37, 0.99)[rank]), torch.full((50,), 0.5)), 1)
    together = VarianceEqualizer(2, 1.1, refresh_every=1)
    results["together"] = said(lambda: [epoch(together, std) for _ in range(2)])
    results["together exponent"] = together.exponent
    alone = VarianceEqualizer(2, 1.1, refresh_every=1, process_group=dist.new_subgroups(1)[0])
    results["alone"] = said(lambda: [epoch(alone, std) for _ in range(2)])
    results["alone exponent"] = copy.deepcopy(alone).exponent
    results["pickled"] = pickle.loads(pickle.dumps(alone)).exponent
    noisy = VarianceEqualizer(2, 1.1, refresh_every=1)
    results["noisy"] = said(lambda: epoch(noisy, torch.rand(20, 2, generator=chance) + 0.2 * rank))

    middle = VarianceEqualizer(2, 1.1)
    own = torch.full((50, 2), (0.4, 0.6)[rank])
    middle.observe(own)
    hasty = [middle.state_dict()]
    dist.broadcast_object_list(hasty, 0)
    middle.gather()
    results["gathered"] = middle.get_extra_state()
    file = [middle.state_dict()]
    dist.broadcast_object_list(file, 0)
    resumed, astray = VarianceEqualizer(2, 1.1), VarianceEqualizer(2, 1.1)
    results["resume"] = said(lambda: resumed.load_state_dict(file[0]))
    results["astray"] = said(lambda: astray.load_state_dict(hasty[0]))
    solo = VarianceEqualizer(2, 1.1, process_group=dist.new_subgroups(1)[0])
    solo.load_state_dict(file[0])
    results["solo"] = solo.get_extra_state()
    for equalizer in (middle, resumed):
        said(lambda equalizer=equalizer: epoch(equalizer, own))
    results["undisturbed"], results["resumed"] = middle.state_dict(), resumed.state_dict()

    ahead = VarianceEqualizer(2, 1.1, refresh_every=1)
    if rank == 1:
        ahead.load_state_dict(noisy.state_dict())
    results["ahead"] = said(lambda: epoch(ahead, torch.full((5, 2), 0.5)))
    results["ahead state"] = ahead.state_dict()
    results["empty"] = said(lambda: epoch(VarianceEqualizer(2, 1.1, refresh_every=3), torch.rand((1 - rank) * 40, 2)))
    return results


def work_apart(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous2", rank=rank, world_size=2)
    torch.manual_seed(0)
    torch.save({"sharded": sharded(rank), **grouped(rank)}, Path(folder) / f"apart{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("apart")
    mp.start_processes(work_apart, args=(str(folder),), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"apart{rank}.pt", weights_only=True) for rank in range(2)]


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("rank", [0, 1])
def test_sharded_models_carry_lambda(results: list[dict[str, Any]], rank: int) -> None:
    states = results[rank]["sharded"]
    assert_same(states["loaded"], states["expected"])
    assert states["loaded"]["equalizer._extra_state"][3].tolist() == [5.0] * 3
    assert_same(states["again"], states["part"])
    assert states["full"].keys() == states["part"].keys() == states["expected"].keys()
    assert states["examples"] != 0.7
    assert states["examples"] == results[0]["sharded"]["examples"]


def test_two_models_in_one_group_are_noticed_and_each_in_its_own_has_its_lambda(results: list[dict[str, Any]]) -> None:
    for rank, result in enumerate(results):
        (warning,) = result["together"]
        assert warning.startswith("sigma of dimension 0 was 0.37 in process 0 and 0.99 in process 1, and both get the")
        assert "process_group=torch.distributed.new_subgroups(1)[0]" in warning
        assert result["alone"] == []
        expected = torch.tensor([optimal_exponent((0.37, 0.99)[rank], 1.1), optimal_exponent(0.5, 1.1)])
        torch.testing.assert_close(result["alone exponent"], expected, rtol=1e-5, atol=0)
        assert torch.equal(result["pickled"], result["alone exponent"])
        assert result["noisy"] == []  # a fifth apart, and within what 20 examples can tell
        assert result["empty"] == []
    assert torch.equal(results[0]["together exponent"], results[1]["together exponent"])


def test_a_checkpoint_within_an_epoch_holds_what_all_processes_saw(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert result["gathered"][0].tolist() == pytest.approx(
            [25.0] * 2
        )  # of 50 examples: half of 0.4 and half of 0.6
        assert result["resume"] == []
        assert_same(result["undisturbed"], result["resumed"])
        (warning,) = result["astray"]
        assert warning.startswith(
            "this state was written by one of 2 processes in the middle of an epoch and holds what"
        )
        assert "equalizer.gather()" in warning
        assert torch.equal(result["solo"], 2 * result["gathered"])


def test_a_process_that_did_not_load_the_state_takes_that_of_the_others(results: list[dict[str, Any]]) -> None:
    for result in results:
        (warning,) = result["ahead"]
        assert warning.startswith(
            "processes had different lambdas after [0, 1] epochs each; all go on with that of process 1"
        )
    assert_same(results[0]["ahead state"], results[1]["ahead state"])
    assert int(results[0]["ahead state"]["epoch"]) == 2
