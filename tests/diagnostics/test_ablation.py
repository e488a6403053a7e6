"""What a dimension is worth: closed form in the linear model, codes learnt by heart, constants that cost KL."""

import pytest
import torch
from linear_gaussian import draw, linear_vae, loadings

from lambda_vae.any_vae import diagnose
from lambda_vae.diagnostics.ablation import ablation
from lambda_vae.likelihoods import gaussian


def test_a_linear_dimension_is_worth_half_the_log_of_its_information():
    information = [8.0, 2.0, 0.5]
    weights = loadings(information)
    vae, x = linear_vae(weights).eval(), draw(weights, 20_000)
    numbers = [torch.tensor([i]) for i in range(3)]
    generator = torch.Generator().manual_seed(0)
    worth = ablation(vae, x.split(500), numbers, torch.zeros(3, dtype=torch.float64), generator=generator)
    # at rest the direction's whole variance, 1 + h times the noise, is left: (1 + h)/2 nats for the 1/2 that the exact
    # posterior leaves with its own noise, less the ln(1 + h)/2 of its KL
    expected = [0.5 * (h - torch.tensor(1.0 + h).log().item()) for h in information]
    assert worth.value.tolist() == pytest.approx(expected, abs=4.0 * float(worth.stderr.max()))
    assert float(worth.stderr.max()) < 0.1


def test_a_code_learnt_by_heart_is_worth_less_than_nothing_on_new_data():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2000, 10, generator=generator)
    made_up = torch.randn(10, 4, generator=generator) / 10**0.5
    unlearnt = diagnose(
        lambda x: (x @ made_up, torch.full((len(x), 4), -2.0)),
        gaussian(lambda z: 2.0 * z @ torch.randn(4, 10, generator=torch.Generator().manual_seed(1))),
        noise,
        iw_samples=1,
    )
    assert unlearnt.active_units == 4
    assert bool((unlearnt.bound_gain < 0.0).all())
    assert "4 of those in use are worth less than nothing" in unlearnt.verdict
    assert unlearnt.ablation.saved == pytest.approx(
        unlearnt.nll_bound
        - float(
            diagnose(
                lambda x: (torch.zeros(len(x), 4), torch.zeros(len(x), 4)),
                gaussian(lambda z: 0.0 * z[:, :1] + torch.zeros(len(z), 10)),
                noise,
                iw_samples=1,
            ).nll_bound
        ),
        rel=0.05,
    )


def test_dimensions_of_many_sites_are_taken_away_whole():
    weights = loadings([8.0, 2.0, 0.5, 4.0])
    vae, x = linear_vae(weights).eval().float(), draw(weights, 4000).float()

    def encode(x):
        q = vae.encode(x)
        return q.mu.view(-1, 2, 2), q.logvar.view(-1, 2, 2)

    report = diagnose(encode, lambda x, z: vae.decode(z.flatten(1)).log_prob(x), x, iw_samples=1)
    expected = [sum(0.5 * (h - torch.tensor(1.0 + h).log().item()) for h in pair) for pair in ((8.0, 0.5), (2.0, 4.0))]
    assert report.bound_gain.tolist() == pytest.approx(expected, rel=0.1)
    assert report.to_dict()["dimensions"]["bound_gain"] == report.bound_gain.tolist()
