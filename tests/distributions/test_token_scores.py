"""log p of tokens and its gradient from one array: against cross_entropy, against differences, and made twice."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_vae.distributions.token_scores import token_log_prob

VOCABULARY, WIDTH, TOKENS = 11, 5, 7


def parts(dtype: torch.dtype = torch.float32, scale: float = 1.0) -> tuple[nn.Linear, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, dtype=dtype)
    with torch.no_grad():
        head.weight.copy_(torch.randn(VOCABULARY, WIDTH, generator=generator))
        head.bias.copy_(torch.randn(VOCABULARY, generator=generator))
    hidden = scale * torch.randn(TOKENS, WIDTH, generator=generator, dtype=dtype)
    return head, hidden.requires_grad_(), torch.randint(VOCABULARY, (TOKENS,), generator=generator)


def gradients(log_prob: Tensor, head: nn.Linear, hidden: Tensor, retain: bool = False) -> tuple[Tensor, ...]:
    weights = torch.linspace(-1.0, 2.0, TOKENS, dtype=log_prob.dtype)  # none alike, one of them 0
    return torch.autograd.grad(log_prob, (hidden, head.weight, head.bias), weights, retain_graph=retain)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_value_and_gradient_are_those_of_cross_entropy(scale: float) -> None:
    head, hidden, targets = parts(scale=scale)
    exact = head.double(), hidden.detach().double().requires_grad_()
    expected = -F.cross_entropy(exact[0](exact[1]), targets, reduction="none")
    wanted = gradients(expected, *exact)
    head.float()
    log_prob = token_log_prob(head, hidden, targets)
    torch.testing.assert_close(log_prob, expected.float(), rtol=1e-5, atol=1e-5 * max(1.0, scale))
    for found, want in zip(gradients(log_prob, head, hidden), wanted, strict=True):
        torch.testing.assert_close(found, want.float(), rtol=1e-4, atol=1e-5 * max(1.0, scale))


def test_gradient_is_that_of_differences() -> None:
    head, hidden, targets = parts(torch.float64)

    def by_weights(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return token_log_prob_of(h, weight, bias, targets)

    assert torch.autograd.gradcheck(by_weights, (hidden, head.weight, head.bias))


def token_log_prob_of(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    head = nn.Linear(WIDTH, VOCABULARY, dtype=hidden.dtype)
    del head.weight, head.bias
    head.weight, head.bias = weight, bias  # type: ignore[assignment]
    return token_log_prob(head, hidden, targets)


def test_a_second_backward_pass_gives_the_same() -> None:
    head, hidden, targets = parts()
    log_prob = token_log_prob(head, hidden, targets)
    first = gradients(log_prob, head, hidden, retain=True)
    for found, want in zip(gradients(log_prob, head, hidden), first, strict=True):
        torch.testing.assert_close(found, want)


def test_without_a_gradient_the_value_is_the_same() -> None:
    head, hidden, targets = parts()
    with torch.no_grad():
        alone = token_log_prob(head, hidden, targets)
    torch.testing.assert_close(alone, token_log_prob(head, hidden, targets))


def test_scores_become_probabilities_in_float32_under_autocast() -> None:
    head, hidden, targets = parts()
    with torch.autocast("cpu", torch.bfloat16):
        log_prob = token_log_prob(head, hidden, targets)
    assert log_prob.dtype == torch.float32
    torch.testing.assert_close(log_prob, token_log_prob(head, hidden, targets), rtol=0.05, atol=0.05)


def test_only_the_code_may_want_a_gradient() -> None:
    head, hidden, targets = parts()
    head.requires_grad_(False)
    log_prob = token_log_prob(head, hidden, targets)
    expected = -F.cross_entropy(head(hidden), targets, reduction="none")
    found, want = (torch.autograd.grad(one.sum(), hidden)[0] for one in (log_prob, expected))
    torch.testing.assert_close(found, want)
