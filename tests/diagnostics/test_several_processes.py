"""Processes that divide the examples: the report of one process, or one sentence on all of them."""

import math

import pytest
import torch
from five_reports import numbers
from measuring_processes import CASES, few, probed, report_of, work

from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.estimation.noise import ExampleNoise, SampleNoise
from lambda_vae.estimation.shares import Shares


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What the two processes found. They load this project's tests anew, so all cases share one start."""
    folder = tmp_path_factory.mktemp("two")
    torch.multiprocessing.start_processes(work, (str(folder),), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


def apart(one, other):
    """How far two records are from each other, relative to the size of what they measure."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return max(apart(one[name], other[name]) for name in one)
    if isinstance(one, list) and one and isinstance(one[0], float | list):
        a, b = torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
        assert torch.equal(a.isnan(), b.isnan())
        return float((a - b).nan_to_num().abs().max() / a.nan_to_num().abs().max().clamp(min=1e-3))
    if isinstance(one, float) and not math.isnan(one):
        return abs(one - other) / max(abs(one), 1e-3)
    assert one == other or one != one
    return 0.0


@pytest.mark.parametrize("case", CASES)
def test_two_processes_give_the_report_of_one(two, case):
    for found in two:
        expected = numbers(report_of(case))
        ours = found[case]
        if case == "linear":  # its sigma does not vary: nothing but rounding is left of its spread
            assert max(one["numbers"].pop("std_spread")[0][0] for one in (expected, ours)) < 1e-7
            expected["numbers"]["std_spread"] = ours["numbers"]["std_spread"] = None
        assert apart(expected, ours) < 1e-6


def test_so_do_probes_and_notes(two):
    assert all(apart(probed(), found["probed"]) < 1e-6 for found in two)


def test_so_do_more_processes_than_parts(two):
    assert all(apart(few(), found["few"]) < 1e-6 for found in two)


def test_a_process_may_measure_alone(two):
    assert apart(numbers(report_of("lambda")), two[0]["alone"]) == 0.0


@pytest.mark.parametrize("what", ["data", "order", "model", "options"])
def test_what_differs_is_said_by_both(two, what):
    sentence = f"process 1 was given another {'data' if what == 'order' else what} than process 0"
    for found in two:
        kind, text = found["refusals"][what]
        assert (kind, text[: len(sentence)]) == ("InputError", sentence)


@pytest.mark.parametrize("what", ["bad input", "no data", "disk"])
def test_a_failure_ends_both(two, what):
    failed = 0 if what == "no data" else 1
    own, other = two[failed]["refusals"][what], two[1 - failed]["refusals"][what]
    assert own[1].splitlines()[0] in other[1]
    assert other[1].startswith(f"process {failed}")


def test_covariances_about_different_means_add_up():
    x = 1e4 + torch.randn(300, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole, parts = StreamedCovariance(3), [StreamedCovariance(3) for _ in range(2)]
    whole.add(x)
    for part, rows in zip(parts, x.split([100, 200]), strict=True):
        part.add(rows)

    class Sums(Shares):
        """Stands for two processes: the joint count and sum, and of the products each its own."""

        def __init__(self):
            super().__init__()
            self.size, self.joint = 2, [torch.tensor([300.0]), x.sum(0)]

        def total(self, own):
            return self.joint.pop(0) if self.joint else own

    for part in parts:
        part.share(Sums())
    products = parts[0].products + parts[1].products
    assert torch.allclose(products / 300, whole.value, rtol=1e-9)


def test_noise_that_is_left_out_leaves_the_rest_as_it_was():
    cpu = torch.device("cpu")

    def chance():
        return torch.Generator().manual_seed(1)

    whole, parts = ExampleNoise(chance()).rows(200, 3, cpu), ExampleNoise(chance())
    parts.skip(70, 3, cpu)
    first = parts.rows(50, 3, cpu)
    parts.skip(75, 3, cpu)
    assert torch.equal(torch.cat((first, parts.rows(5, 3, cpu))), whole[[*range(70, 120), *range(195, 200)]])
    many, left = SampleNoise(chance(), 5), SampleNoise(chance(), 5)
    left.skip(6, 3, cpu)
    (expected,), (found,) = many.parts(10, 3, cpu, 5), left.parts(4, 3, cpu, 5)
    assert torch.equal(expected[:, 6:], found)
