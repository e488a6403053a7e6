"""The flow posterior: the plain VAE before training, on a density that takes one pass."""

import pytest
import torch

from lambda_vae.distributions import DiagGaussian, TransformedDistribution
from lambda_vae.errors import InputError
from lambda_vae.posteriors import FlowPosterior, GaussianPosterior

B, H, D = 4, 6, 3
KINDS = pytest.mark.parametrize("kind", ["autoregressive", "coupling", "planar"])


@KINDS
def test_before_training_it_is_the_plain_posterior_bit_for_bit(kind: str) -> None:
    plain, flow = GaussianPosterior(H, D), FlowPosterior(H, D, kind, 3, (8,))  # type: ignore[arg-type]
    flow.base.load_state_dict(plain.state_dict())
    h, eps = torch.randn(B, H), torch.randn(2, B, D)
    q, p = flow(h), plain(h)
    assert isinstance(q, TransformedDistribution)
    assert torch.equal(q.rsample(eps), p.rsample(eps))
    assert torch.equal(q.rsample_and_log_prob(eps).log_prob(), p.rsample_and_log_prob(eps).log_prob())
    assert torch.equal(q.mu, p.mu)
    torch.testing.assert_close(q.marginals().logvar, p.logvar)


@KINDS
def test_without_layers_it_is_the_plain_posterior_for_ever(kind: str) -> None:
    posterior = FlowPosterior(H, D, kind, 0)  # type: ignore[arg-type]
    assert isinstance(posterior(torch.randn(B, H)), DiagGaussian)
    assert {name.split(".")[0] for name, _ in posterior.named_parameters()} == {"base"}


@pytest.mark.parametrize("kind", ["autoregressive", "coupling"])
def test_a_draw_with_its_density_inverts_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    posterior, calls = FlowPosterior(H, D, kind, 3, (8,)), []  # type: ignore[arg-type]
    assert posterior.flow is not None
    for layer in posterior.flow.layers:
        layer.hyper.register_forward_hook(lambda *_: calls.append(1))
    draw = posterior(torch.randn(B, H)).rsample_and_log_prob(torch.randn(1, B, D))
    draw.log_prob()
    assert len(calls) == 3


def test_negative_layers_are_refused() -> None:
    with pytest.raises(InputError, match="flow_layers is -1"):
        FlowPosterior(H, D, layers=-1)
