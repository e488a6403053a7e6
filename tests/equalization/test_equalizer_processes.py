"""Two processes under DistributedDataParallel hold the exponent of their joint data."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lambda_vae.equalization import VarianceEqualizer

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
    mp.spawn(work, args=(str(folder),), nprocs=2)
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
