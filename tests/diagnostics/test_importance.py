"""Importance weights under every proposal against the exact likelihood of linear VAEs."""

import math
from itertools import pairwise

import pytest
import torch
from exact_models import LinearGaussian
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, GaussianMixture, Sample
from lambda_vae.equalization import Equalization
from lambda_vae.errors import InputError
from lambda_vae.estimation.importance import importance_weights, read_weighed
from lambda_vae.estimation.proposals import PROPOSALS, Mixture, Proposal, proposal_laws, widened
from lambda_vae.model import VAE

SIZES = [(4, 1), (8, 3), (20, 6)]


def scene(features: int, dim: int, std_factor: float = 1.0) -> tuple[LinearGaussian, VAE, Tensor]:
    generator = torch.Generator().manual_seed(dim)
    weight = torch.randn(features, dim, generator=generator, dtype=torch.float64) / dim**0.5
    model = LinearGaussian(weight, torch.zeros(features, dtype=torch.float64), 0.5)
    return model, model.vae(std_factor), model.sample(30, generator)


def laws(vae: VAE, x: Tensor, exponent: float | None = 1.15) -> dict[str, Proposal]:
    lambda_ = None if exponent is None else torch.full((vae.latent_dim,), exponent, dtype=torch.float64)
    with torch.no_grad():
        return proposal_laws(vae.with_equalization(Equalization(lambda_)), vae.encode(x))


@pytest.mark.parametrize("name", PROPOSALS)
@pytest.mark.parametrize(("features", "dim"), SIZES)
def test_every_proposal_gives_the_likelihood_within_its_error(features: int, dim: int, name: str) -> None:
    model, vae, x = scene(features, dim)
    found = importance_weights(vae, x, laws(vae, x)[name], 3000, torch.Generator().manual_seed(0))
    error = found.weights.nll - model.nll(x)
    assert (error.abs() < 5 * found.weights.stderr + 1e-6).all()  # the exact posterior of one dimension has error 0
    assert (found.weights.stderr < 0.3).all()
    if name in ("wide", "defensive"):  # q has no width to spare where the posterior's dimensions depend on each other
        assert read_weighed(name, 3000, found.weights.nll, found.weights.effective_samples, found.khat).reasons == ()


def test_a_density_that_is_wrong_shows() -> None:
    """The control: draws of q, weighed as if they came from the widened law."""
    model, vae, x = scene(8, 3)
    with torch.no_grad():
        q = vae.encode(x)

    class Liar:
        noise_dim = q.noise_dim

        def rsample_and_log_prob(self, eps: Tensor) -> Sample:
            z = q.rsample(eps)
            return Sample(z, lambda: widened(q, 1.5).log_prob(z))

    found = importance_weights(vae, x, Liar(), 3000, torch.Generator().manual_seed(0))
    assert ((found.weights.nll - model.nll(x)).abs() > 5 * found.weights.stderr).all()


@pytest.mark.parametrize("samples", [1, 2, 3, 7])
def test_a_blend_of_any_number_of_draws_is_unbiased(samples: int) -> None:
    model, vae, x = scene(8, 3)
    law, generator, repeats = laws(vae, x)["defensive"], torch.Generator().manual_seed(1), 3000
    wide = x[:1].expand(repeats, -1)  # one example over and over
    with torch.no_grad():
        q = vae.encode(wide)
    law = Mixture((q, widened(q, 1.5)))
    weight = (model.nll(wide) - importance_weights(vae, wide, law, samples, generator).weights.nll).exp()
    assert abs(float(weight.mean()) - 1.0) < 4 * float(weight.std()) / math.sqrt(repeats)


def test_a_blend_is_the_mixture_in_the_proportions_drawn() -> None:
    q = DiagGaussian(torch.zeros(2, 1), torch.zeros(2, 1))
    wide = widened(q, 3.0)
    drawn = Mixture((q, wide)).rsample_and_log_prob(torch.ones(3, 2, 1))
    assert drawn.z[:, 0, 0].tolist() == [1.0, 1.0, 3.0]
    expected = (2 * q.log_prob(drawn.z).exp() + wide.log_prob(drawn.z).exp()) / 3
    torch.testing.assert_close(drawn.log_prob(), expected.log())


def test_a_wider_law_saves_a_posterior_that_is_too_narrow() -> None:
    model, vae, x = scene(8, 3, std_factor=0.5)
    found = {
        name: importance_weights(vae, x, law, 2000, torch.Generator().manual_seed(2))
        for name, law in proposal_laws(vae, vae.encode(x), factor=2.5).items()
    }
    narrow, wide = (read_weighed(n, 2000, found[n].weights.nll, found[n].weights.effective_samples, found[n].khat)
                    for n in ("q", "defensive"))  # fmt: skip
    assert narrow.heavy > 0.5
    assert "k-hat is 0.70 or more" in narrow.reasons[0]
    assert wide.heavy == 0.0
    assert wide.reasons == ()
    assert abs(float(wide.nll.value) - float(model.nll(x).mean())) < 0.05


def test_truth_is_below_the_estimate_is_below_the_bound() -> None:
    model, vae, _ = scene(8, 3, std_factor=2.0)
    x = model.sample(1500, torch.Generator().manual_seed(3))
    with torch.no_grad():
        q = vae.encode(x)
    few, many = (importance_weights(vae, x, q, k, torch.Generator().manual_seed(4)).weights.nll for k in (2, 10))
    levels = [model.nll(x), many, few, model.nll_bound(x, q)]
    for smaller, larger in pairwise(levels):
        gap = larger - smaller
        assert gap.mean() > 3 * gap.std() / len(x) ** 0.5


def test_claimed_error_is_the_scatter_over_repetitions() -> None:
    _, vae, x = scene(8, 3, std_factor=1.3)
    generator = torch.Generator().manual_seed(5)
    runs = [importance_weights(vae, x, laws(vae, x)["q"], 200, generator).weights for _ in range(60)]
    scatter = torch.stack([one.nll for one in runs]).std(0)
    claimed = torch.stack([one.stderr for one in runs]).mean(0)
    assert float((scatter / claimed).mean()) == pytest.approx(1.0, abs=0.1)


def test_chunks_change_nothing_but_the_noise_they_get(monkeypatch: pytest.MonkeyPatch) -> None:
    _, vae, x = scene(8, 3)
    x = x[:16]  # parts of 16 * 3 numbers: torch's generator hands out noise in blocks of 16
    law = laws(vae, x)["q"]
    whole = importance_weights(vae, x, law, 400, torch.Generator().manual_seed(6))
    monkeypatch.setattr("lambda_vae.estimation.batching.ROWS_PER_PASS", 320)
    parts = importance_weights(vae, x, law, 400, torch.Generator().manual_seed(6))
    torch.testing.assert_close(parts.weights.nll, whole.weights.nll, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(parts.khat, whole.khat, rtol=1e-6, atol=1e-6)


def test_widening_widens_every_kind_of_law() -> None:
    generator = torch.Generator().manual_seed(7)
    mixture = GaussianMixture(torch.randn(3, 4, 2, generator=generator), torch.zeros(3, 4, 2))
    torch.testing.assert_close(widened(mixture, 2.0).logvars.exp(), torch.full((3, 4, 2), 4.0))
    q = DiagGaussian(torch.zeros(3, 2), torch.zeros(3, 2))
    torch.testing.assert_close(widened(q, 2.0).std, torch.full((3, 2), 2.0))


def test_without_lambda_q_sampled_is_q_and_named_once() -> None:
    _, vae, x = scene(4, 1)
    assert list(laws(vae, x, None)) == ["q", "wide", "defensive"]
    assert list(laws(vae, x, 1.0)) == ["q", "wide", "defensive"]
    assert list(laws(vae, x, 2.0)) == list(PROPOSALS)


def test_few_samples_are_marked() -> None:
    _, vae, x = scene(4, 1)
    found = importance_weights(vae, x, laws(vae, x)["wide"], 10, torch.Generator().manual_seed(8))
    reading = read_weighed("wide", 10, found.weights.nll, found.weights.effective_samples, found.khat)
    assert math.isnan(reading.khat)
    assert "10 samples are too few" in reading.reasons[0]


@pytest.mark.parametrize(
    ("names", "factor", "says"),
    [(("p",), 1.2, r"\['p'\]; name at least one of q, "), ((), 1.2, "at least one"), (("wide",), 0.0, "factor is 0.0")],
)
def test_bad_proposals_are_refused(names: tuple[str, ...], factor: float, says: str) -> None:
    _, vae, x = scene(4, 1)
    with pytest.raises(InputError, match=says):
        proposal_laws(vae, vae.encode(x), names, factor=factor)


def test_no_samples_are_refused() -> None:
    _, vae, x = scene(4, 1)
    with pytest.raises(InputError, match="0 importance samples"):
        importance_weights(vae, x, laws(vae, x)["q"], 0)
