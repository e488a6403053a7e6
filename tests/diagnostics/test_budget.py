import math

import pytest
import torch
from five_reports import MODELS, numbers
from linear_gaussian import draw, equalized, exact_nll, linear_vae, loadings

from lambda_vae.any_vae import diagnose
from lambda_vae.errors import InputError
from lambda_vae.estimation.budget import bytes_kept, bytes_of, flops_of
from lambda_vae.estimation.noise import ExampleNoise, SampleNoise, spawned

WEIGHTS = loadings([8.0, 4.0, 2.0])


def alike(a, b):
    """Two reports but for rounding."""
    a, b = numbers(a), numbers(b)
    for name, pair in a.pop("numbers").items():
        for one, other in zip(pair, b["numbers"][name], strict=True):
            torch.testing.assert_close(torch.tensor(one), torch.tensor(other), rtol=1e-4, atol=1e-5, equal_nan=True)
    strongest = a.pop("residual_strongest"), b.pop("residual_strongest")
    assert strongest[0] == pytest.approx(strongest[1], rel=1e-4)
    b.pop("numbers")
    assert a == b


@pytest.mark.parametrize("options", [{}, {"iw_samples": 3}], ids=["default", "three samples"])
@pytest.mark.parametrize("name", ["lambda", "Bernoulli, foreign"])
def test_the_report_does_not_depend_on_the_batch_size(name, options):
    model = MODELS[name]()
    small, large = (diagnose(*model, batch_size=size, **options) for size in (37, 450))
    alike(small, large)


def test_nor_on_the_memory():
    model = MODELS["lambda"]()
    alike(diagnose(*model, memory="100 KiB"), diagnose(*model, memory="1 GiB"))


def test_too_little_memory_for_one_example_names_the_least():
    model = MODELS["Gaussian maps, foreign"]()
    with pytest.raises(InputError, match="the least that works is") as raised:
        diagnose(*model, memory="1 KiB")
    assert diagnose(*model, memory=str(raised.value).split("works is ")[1]).examples == 600


@pytest.mark.parametrize("memory", ["much", -1, 0, "1 EiB", math.nan])
def test_what_is_no_memory_is_refused(memory):
    with pytest.raises(InputError, match="give bytes, or text"):
        diagnose(linear_vae(WEIGHTS), draw(WEIGHTS, 20), memory=memory)


def test_text_and_bytes():
    assert [bytes_of(one) for one in ("1KB", "2 mib", 3e3, "4")] == [1000, 2 * 2**20, 3000, 4]


def test_by_default_the_draws_of_the_pass_are_the_importance_samples():
    x = draw(WEIGHTS, 1000)
    report = diagnose(equalized(linear_vae(WEIGHTS), torch.full((3,), 1.5)), x)
    assert (report.nll_iw_samples, report.nll_iw_proposal) == (2, "q_sampled")
    assert float(exact_nll(WEIGHTS, x).mean()) < report.nll_iw <= report.nll_bound + 1e-9
    assert "2 samples from q_sampled" in str(report)


def test_without_importance_samples_there_is_no_estimate():
    report = diagnose(linear_vae(WEIGHTS), draw(WEIGHTS, 300), iw_samples=0)
    assert report.best_importance is None
    assert math.isnan(report.nll_iw)
    assert "nll_iw    not measured" in str(report)
    assert report.to_dict()["nll_iw_samples"] == 0


def test_the_bound_is_that_of_many_draws_within_its_error():
    x, vae = draw(WEIGHTS, 1000), linear_vae(WEIGHTS)
    few, many = (diagnose(vae, x, iw_samples=samples) for samples in (0, 50))
    assert few.nll_bound == pytest.approx(many.nll_bound, abs=few.nll_bound_stderr)
    assert few.rate == pytest.approx(many.rate, rel=1e-9)


class Counted(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.rows = inner, 0

    def forward(self, x):
        self.rows += len(x)
        return self.inner(x)


def test_what_a_diagnosis_takes_of_encoder_and_decoder():
    vae, x = linear_vae(WEIGHTS), draw(WEIGHTS, 40_000)
    vae.encoder, vae.decoder = Counted(vae.encoder), Counted(vae.decoder)
    diagnose(vae, x)
    assert vae.encoder.rows < 3 * len(x)  # the pass; some again for the search and the ablation
    assert vae.decoder.rows < 12 * len(x)  # of which 2 are the pass; these models are so small that all may be searched


def test_noise_belongs_to_an_example():
    def chance():
        return spawned(torch.Generator().manual_seed(1), torch.device("cpu"))

    cpu = torch.device("cpu")
    whole = ExampleNoise(chance()).rows(200, 3, cpu)
    parts = ExampleNoise(chance())
    assert torch.equal(whole, torch.cat([parts.rows(count, 3, cpu) for count in (1, 99, 0, 64, 36)]))
    assert abs(float(whole.mean())) < 0.15
    many, few = SampleNoise(chance(), 5), SampleNoise(chance(), 5)
    one = torch.cat(list(many.parts(10, 3, cpu, 5)))
    other = [torch.cat(list(few.parts(count, 3, cpu, 2))) for count in (4, 6)]
    assert torch.equal(one, torch.cat(other, 1))


def test_work_is_counted_and_memory_measured():
    layer, x = torch.nn.Linear(100, 50), torch.randn(8, 100)
    assert flops_of(lambda: layer(x)) == 2 * 8 * 100 * 50

    def fails():
        raise RuntimeError

    assert flops_of(fails) == 0.0
    assert bytes_kept(lambda count: layer(x[:count]).sigmoid(), 8) == pytest.approx(4 * 150, rel=0.7)
