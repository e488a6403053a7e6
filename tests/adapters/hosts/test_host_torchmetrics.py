"""LatentActivity counts what diagnose counts: in batches, on two processes, in half precision, in a collection."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lambda_vae.any_vae import diagnose
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import gaussian

torchmetrics = pytest.importorskip("torchmetrics", reason="torchmetrics is an extra")

from lambda_vae.integrations.torchmetrics import LatentActivity  # noqa: E402

D, N = 6, 500


def posterior(dtype=torch.float32):
    """Two live dimensions, their sum in a third, one of tiny signal, two dead; [N, D]."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(N, D, generator=generator)
    mu = torch.stack([2 + 0.9 * z[:, 0], 0.9 * z[:, 1], 0.6 * (z[:, 0] + z[:, 1]), 0.12 * z[:, 3], 0.01 * z[:, 4],
                      torch.zeros(N)], 1)  # fmt: skip
    std = torch.tensor([0.3, 0.3, 0.3, 0.97, 1.0, 1.0]) * (1 + 0.05 * torch.rand(N, D, generator=generator))
    return mu.to(dtype), 2 * std.log().to(dtype)


def measured(mu, logvar):
    """The same by diagnose; the codes themselves are the data."""
    x = torch.cat([mu, logvar], 1).double()
    report = diagnose(
        lambda x: (x[:, :D], x[:, D:]), gaussian(lambda z: torch.cat([z, z], 1), std=1.0), x, iw_samples=2
    )
    return {
        "active_units": report.active_units,
        "near_prior": report.near_prior,
        "kl": float(report.kl.sum()),
        "snr_capacity": float(report.snr_capacity.sum()),
        "active_directions": report.active_directions,
        "examples": report.examples,
    }


def plain(found):
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("batches", [1, 7])
def test_batches_add_up_to_what_diagnose_finds(dtype, batches):
    mu, logvar = posterior(dtype)
    metric = LatentActivity(D)
    for part in zip(mu.chunk(batches), logvar.chunk(batches), strict=True):
        metric.update(*part)
    found = plain(metric.compute())
    assert found == pytest.approx(measured(mu, logvar), rel=1e-9)
    assert (found["active_units"], found["active_directions"]) == (4, 3)


def test_reset_forgets_and_forward_gives_the_batch_alone():
    mu, logvar = posterior()
    metric = LatentActivity(D)
    metric(mu[:200] * 100, logvar[:200])
    metric.reset()
    first = plain(metric(mu[:100], logvar[:100]))
    second = plain(metric(mu[100:], logvar[100:]))
    assert first == pytest.approx(measured(mu[:100], logvar[:100]), rel=1e-9)
    assert second == pytest.approx(measured(mu[100:], logvar[100:]), rel=1e-9)
    assert plain(metric.compute()) == pytest.approx(measured(mu, logvar), rel=1e-9)


def test_it_stands_in_a_collection_beside_others_and_in_inference_mode():
    mu, logvar = posterior()
    both = torchmetrics.MetricCollection({"now": LatentActivity(D), "again": LatentActivity(D)}, prefix="val_")
    with torch.inference_mode():
        both.update(mu, logvar)
        both.update(mu, logvar)
        found = both.compute()
    assert {name for name in found if "active_units" in name}
    values = {name: float(value) for name, value in found.items()}
    assert sum(value == 1000 for name, value in values.items() if name.endswith("examples")) == sum(
        name.endswith("examples") for name in values
    )
    assert all(value == 4 for name, value in values.items() if name.endswith("active_units"))


def test_half_precision_of_the_module_leaves_the_sums_alone():
    mu, logvar = posterior()
    metric = LatentActivity(D).half()
    metric.update(mu, logvar)
    assert metric.outer.dtype == torch.float64
    assert plain(metric.compute()) == pytest.approx(measured(mu, logvar), rel=1e-9)


def test_states_come_back_from_a_checkpoint():
    mu, logvar = posterior()
    metric = LatentActivity(D)
    metric.persistent(True)
    metric.update(mu, logvar)
    other = LatentActivity(D)
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other.update(mu[:1], logvar[:1])
    assert float(other.compute()["examples"]) == N + 1


@pytest.mark.parametrize(("rows", "unknown"), [(1, {"active_units", "snr_capacity", "active_directions"}),
                                               (D, {"active_directions"}), (D + 1, set())])  # fmt: skip
def test_too_few_examples_are_nan_and_not_nought(rows, unknown):
    mu, logvar = posterior()
    metric = LatentActivity(D)
    metric.update(mu[:rows], logvar[:rows])
    assert {name for name, value in metric.compute().items() if value.isnan()} == unknown


def test_what_is_not_finite_is_nan():
    mu, logvar = posterior()
    mu[3, 1] = torch.nan
    metric = LatentActivity(D)
    metric.update(mu, logvar)
    found = metric.compute()
    assert all(found[name].isnan() for name in ("active_units", "kl", "snr_capacity", "active_directions"))
    assert float(found["near_prior"]) == 3


@pytest.mark.parametrize(
    ("mu", "logvar", "message"),
    [
        (torch.zeros(4, D + 1), torch.zeros(4, D + 1), r"mu has shape \[4, 7\] and logvar \[4, 7\]"),
        (torch.zeros(4, D), torch.zeros(4, D - 1), r"logvar \[4, 5\]"),
        (torch.zeros(4, D), torch.zeros(3, D), r"logvar \[3, 6\]"),
        (torch.zeros(4, D, 2), torch.zeros(4, D, 2), r"flatten"),
        (torch.zeros(D), torch.zeros(D), r"mu has shape \[6\]"),
        (torch.zeros(4, D, dtype=torch.long), torch.zeros(4, D), "torch.int64"),
    ],
)
def test_wrong_posteriors_are_refused_and_nothing_is_counted(mu, logvar, message):
    metric = LatentActivity(D)
    with pytest.raises(InputError, match=message):
        metric.update(mu, logvar)
    assert int(metric.examples) == 0


@pytest.mark.parametrize("latent_dim", [0, -1, 2.5, "6"])
def test_a_width_that_is_none_is_refused(latent_dim):
    with pytest.raises(InputError, match=r"give the number of latent dimensions"):
        LatentActivity(latent_dim)


def work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    mu, logvar = posterior()
    own = slice(0, 120) if rank == 0 else slice(120, None)
    metric = LatentActivity(D)
    for part in zip(mu[own].split(50), logvar[own].split(50), strict=True):
        metric.update(*part)
    torch.save(metric.compute(), Path(folder) / f"rank{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_hold_the_counts_of_all_examples(tmp_path):
    mp.start_processes(work, args=(str(tmp_path),), nprocs=2, start_method="forkserver")
    expected = measured(*posterior())
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert plain(found) == pytest.approx(expected, rel=1e-9)
