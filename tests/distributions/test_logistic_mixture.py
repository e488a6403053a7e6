"""The discretised logistic mixture against mpmath, scipy, autograd in float64, enumeration and simulation."""

import math

import mpmath
import pytest
import torch
from scipy import stats
from torch import Tensor

from lambda_vae.distributions import (
    ChannelLogisticMixtureLikelihood,
    LogisticMixture,
    LogisticMixtureLikelihood,
    MixtureForm,
)
from lambda_vae.distributions import logistic_kernel as kernel
from lambda_vae.distributions import logistic_mixture as law
from lambda_vae.errors import InputError

FORMS = (MixtureForm(1, 3, False), MixtureForm(3, 2, False), MixtureForm(1, 3, True), MixtureForm(3, 2, True))


def drawn(form: MixtureForm, n: int = 5, h: int = 2, w: int = 3, scale: float = 1.5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, form.maps, h, w, generator=generator, dtype=torch.float64)


def images(form: MixtureForm, n: int = 5, h: int = 2, w: int = 3, seed: int = 1) -> Tensor:
    """Half of the values at the edges and beside them."""
    generator = torch.Generator().manual_seed(seed)
    shape = (n, h * w * form.channels)
    edges = torch.tensor([0, 1, 254, 255])[torch.randint(0, 4, shape, generator=generator)]
    anything = torch.randint(0, 256, shape, generator=generator)
    return torch.where(torch.rand(shape, generator=generator) < 0.5, edges, anything).double() / 255


def mixture(form: MixtureForm, theta: Tensor) -> LogisticMixture:
    return LogisticMixture(theta, form.components, form.autoregressive)


def plain(form: MixtureForm, theta: Tensor, x: Tensor) -> Tensor:
    """The formula as it stands, for autograd: nothing shared with the kernel but the layout of theta."""
    n, _, h, w = theta.shape
    logits, mu, log_scale, coef = form.split(theta.flatten(2))
    x = x.view(n, h * w, form.groups, form.depth).permute(0, 2, 3, 1)[:, :, :, None]
    scaled, c = 2 * x - 1, coef.tanh()
    mu = torch.stack(
        [
            sum((c[:, :, p] * scaled[:, :, e] for p, (later, e) in enumerate(form.pairs) if later == i), mu[:, :, i])
            for i in range(form.depth)
        ],
        2,
    )
    s = log_scale.clamp(-7, 20).exp()
    a, b = (scaled + 1 / 255 - mu) / s, (scaled - 1 / 255 - mu) / s
    t = a - b
    log = torch.nn.functional.logsigmoid
    inside = torch.log(-torch.expm1(-t)) + log(a) + log(-b)
    mass = torch.where(x == 0, log(a), torch.where(x == 1, log(-b), inside))
    return (mass.sum(2) + logits.log_softmax(2)).logsumexp(2).sum((1, 2))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_value_and_gradient_are_those_of_autograd(form: MixtureForm, dtype: torch.dtype, rtol: float) -> None:
    exact, x = drawn(form).requires_grad_(), images(form)
    expected = plain(form, exact, x)
    expected.sum().backward()
    theta = exact.detach().to(dtype).requires_grad_()
    value = mixture(form, theta).log_prob(x.to(dtype))
    value.sum().backward()
    assert value.dtype == dtype
    torch.testing.assert_close(value.double(), expected, rtol=rtol, atol=rtol)
    torch.testing.assert_close(theta.grad.double(), exact.grad, rtol=rtol, atol=5 * rtol)


@pytest.mark.parametrize("form", [FORMS[0], FORMS[3]])
def test_gradient_is_that_of_finite_differences(form: MixtureForm) -> None:
    x = images(form, 1, 1, 1)
    assert torch.autograd.gradcheck(lambda t: mixture(form, t).log_prob(x), drawn(form, 1, 1, 1).requires_grad_())


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0, 5.0, 20.0])
@pytest.mark.parametrize("mu", [-40.0, -1.0, 0.003, 1.2])
def test_one_bin_is_that_of_mpmath(mu: float, log_scale: float) -> None:
    levels = [0, 1, 100, 128, 254, 255]
    theta = torch.tensor([0.0, mu, log_scale]).view(1, 3, 1, 1).expand(len(levels), -1, -1, -1)
    value = LogisticMixture(theta, 1).log_prob(torch.tensor(levels)[:, None] / 255)
    mpmath.mp.dps = 60
    s, m = mpmath.exp(log_scale), mpmath.mpf(theta[0, 1, 0, 0].item())

    def beyond(end: mpmath.mpf, side: int) -> mpmath.mpf:
        """The mass on one side; that of the farther tail, so that nothing cancels."""
        return 1 / (1 + mpmath.exp(side * (end - m) / s))

    for level, one in zip(levels, value, strict=True):
        side = 1 if 2 * level / 255 - 1 > mu else -1
        ends = [mpmath.mpf(2 * level - 255 - side) / 255, mpmath.mpf(2 * level - 255 + side) / 255]
        last = 255 if side == 1 else 0
        near = mpmath.mpf(1) if level == 255 - last else beyond(ends[0], side)
        far = mpmath.mpf(0) if level == last else beyond(ends[1], side)
        exact = float(mpmath.log(near - far))
        # x is a float32 number: what rounding it changes is |d log p / dx| at most 1/s.
        assert one.item() == pytest.approx(exact, rel=1e-5, abs=1.5e-7 * math.exp(-log_scale) + 1e-6)


def test_one_component_is_the_logistic_of_scipy() -> None:
    theta = torch.tensor([0.0, 0.2, -1.5], dtype=torch.float64).view(1, 3, 1, 1)
    value = LogisticMixture(theta, 1).log_prob(torch.tensor([[77 / 255]], dtype=torch.float64))
    outside = stats.logistic(loc=0.2, scale=math.exp(-1.5))
    assert value.item() == pytest.approx(math.log(outside.cdf(-100 / 255) - outside.cdf(-102 / 255)), rel=1e-10)


GRID = torch.arange(256, dtype=torch.float64)[:, None] / 255


def first(form: MixtureForm, theta: Tensor, channels: int) -> tuple[MixtureForm, Tensor]:
    """The mixture of the first channels alone: those after them, whatever they are, do not change it."""
    part = MixtureForm(channels, form.components, True)
    logits, mu, log_scale, coef = form.split(theta.flatten(2))
    kept = (logits, mu[:, :, :channels], log_scale[:, :, :channels], coef[:, :, : len(part.pairs)])
    return part, torch.cat([one.flatten() for one in kept]).view(1, -1, 1, 1)


@pytest.mark.parametrize("shift", [-30.0, -3.0, 0.0, 3.0, 19.0])
def test_probabilities_add_up_to_one(shift: float) -> None:
    """Red to 1, green to what red had, blue to what both had: so the whole chain is; at all scales, also saturated."""
    form = MixtureForm(3, 3, True)
    theta = drawn(form, 1, 1, 1)
    form.split(theta.flatten(2)).log_scale.add_(shift)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        for before in ([], [10], [255], [128, 77], [0, 255]):
            known = torch.tensor(before, dtype=dtype) / 255
            points = torch.cat([known.expand(256, -1), GRID.to(dtype)], 1)
            part, kept = first(form, theta.to(dtype), len(before) + 1)
            total = mixture(part, kept).log_prob(points).double().logsumexp(0)
            if before:
                part, kept = first(form, theta.to(dtype), len(before))
                total = total - mixture(part, kept).log_prob(known[None])
            assert total.item() == pytest.approx(0.0, abs=tolerance)


def test_independent_channels_are_products_of_their_mixtures() -> None:
    form = MixtureForm(3, 2, False)
    theta, x = drawn(form), images(form)
    logits, mu, log_scale, _ = form.split(theta.flatten(2))
    alone = 0
    for c in range(3):
        one = torch.cat([logits[:, c], mu[:, c, 0], log_scale[:, c, 0]], 1).view(5, 6, 2, 3)
        alone = alone + LogisticMixture(one, 2).log_prob(x[:, c::3])
    torch.testing.assert_close(mixture(form, theta).log_prob(x), alone)


@pytest.mark.parametrize("extreme", [-1e30, -1e4, -30.0, 30.0, 1e4, 1e30])
def test_extreme_scales_stay_finite(extreme: float) -> None:
    form = MixtureForm(3, 2, True)
    theta = drawn(form).float()
    form.split(theta.flatten(2)).log_scale.fill_(extreme)
    theta.requires_grad_()
    value = mixture(form, theta).log_prob(images(form).float())
    value.sum().backward()
    assert value.isfinite().all()
    assert theta.grad.isfinite().all()


def test_means_far_outside_are_charged_their_distance() -> None:
    theta = torch.tensor([0.0, 1000.0, -7.0]).view(1, 3, 1, 1)
    assert LogisticMixture(theta, 1).log_prob(torch.ones(1, 1)).item() == 0.0
    assert LogisticMixture(theta, 1).log_prob(torch.zeros(1, 1)).item() == pytest.approx(
        -(1001 - 1 / 255) * math.exp(7), rel=1e-6
    )


def test_chunks_and_a_second_backward_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    form = MixtureForm(3, 2, True)
    theta, x = drawn(form, 7).requires_grad_(), images(form, 7)
    whole = mixture(form, theta).log_prob(x)
    first = torch.autograd.grad(whole.sum(), theta, retain_graph=True)[0]
    kept = first.clone()
    second = torch.autograd.grad(2 * whole.sum(), theta)[0]
    monkeypatch.setattr(kernel, "_CHUNK", 2 * 3 * 2 * 6)  # two examples at a time, the last one alone
    parts = mixture(form, theta).log_prob(x)
    torch.testing.assert_close(parts, whole, rtol=1e-13, atol=0)
    torch.testing.assert_close(torch.autograd.grad(parts.sum(), theta)[0], kept, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(second, 2 * kept)
    assert torch.equal(first, kept)


def test_samples_have_the_probabilities() -> None:
    """Chi-square of 20,000 draws: of one channel's 256 values, and of green with the few reds of a narrow scale."""
    one, two = MixtureForm(1, 3, False), MixtureForm(2, 2, True)
    for form, reds, seed in ((one, 1, 5), (two, 16, 6)):
        theta = drawn(form, 1, 1, 1, 1.0, seed)
        points = GRID
        if form is two:
            parts = form.split(theta.flatten(2))
            parts.mu[:, :, 0] = 0.0
            parts.log_scale[:, :, 0] = -5.0
            points = torch.cartesian_prod(GRID[120 : 120 + reds, 0], GRID[:, 0])
        draws = mixture(form, theta.expand(20_000, -1, -1, -1)).sample(torch.Generator().manual_seed(seed))
        cells = (draws * 255).round().long()
        cells = cells[:, 0] if form is one else (cells[:, 0] - 120) * 256 + cells[:, 1]
        assert ((cells >= 0) & (cells < 256 * reds)).all()
        assert pvalue(torch.bincount(cells, minlength=256 * reds), mixture(form, theta).log_prob(points).exp()) > 1e-3


def pvalue(seen: Tensor, p: Tensor) -> float:
    """Of the cells with at least 5 expected draws, the others together."""
    expected = p * seen.sum()
    many = expected >= 5
    f_obs = torch.cat([seen[many].double(), seen[~many].sum()[None].double()])
    f_exp = torch.cat([expected[many], expected[~many].sum()[None]])
    keep = f_exp > 0
    return float(stats.chisquare(f_obs[keep].numpy(), (f_exp[keep] * f_obs.sum() / f_exp[keep].sum()).numpy()).pvalue)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_mean_and_mode_are_those_of_the_256_probabilities(dtype: torch.dtype) -> None:
    """Of scales from far below a bin to far above the range, and of locations also outside of it."""
    form = MixtureForm(1, 4, False)
    for seed in range(8):
        theta = drawn(form, 1, 1, 1, seed=seed)
        form.split(theta.flatten(2)).log_scale.add_(seed - 5.0)
        p = mixture(form, theta).log_prob(GRID).exp()
        p_x = mixture(form, theta.to(dtype))
        assert p_x.mean.item() == pytest.approx(
            (p * GRID[:, 0]).sum().item(), rel=1e-8 if dtype.itemsize == 8 else 1e-5
        )
        mode = round(p_x.mode.item() * 255)
        assert p[mode] >= p.max() * (1 - (1e-12 if dtype.itemsize == 8 else 1e-5))


@pytest.mark.parametrize("form", [MixtureForm(3, 2, False), MixtureForm(3, 2, True)])
def test_pixels_at_a_time_change_nothing(form: MixtureForm, monkeypatch: pytest.MonkeyPatch) -> None:
    p_x = mixture(form, drawn(form, 6).view(2, 3, -1, 2, 3))
    mean, mode = p_x.mean, p_x.mode
    assert mean.shape == mode.shape == (2, 3, 18)
    monkeypatch.setattr(law, "_NUMBERS", 5 * 256 * form.groups * form.components)  # 36 pixels, five at a time
    assert torch.equal(p_x.mean, mean)
    assert torch.equal(p_x.mode, mode)
    alone = mixture(form, p_x.theta[1, 2, :, 1:, 2:])  # the last pixel of the last image
    torch.testing.assert_close(alone.mean, mean[1, 2, -3:])
    assert torch.equal(alone.mode, mode[1, 2, -3:])


def test_autoregressive_mode_is_greedy_and_mean_that_of_draws() -> None:
    form = MixtureForm(3, 2, True)
    theta = drawn(form, 1, 1, 1, 0.5)
    form.split(theta.flatten(2)).log_scale.sub_(3.0)
    p_x, chosen = mixture(form, theta), list[int]()
    for c in range(3):
        part, kept = first(form, theta, c + 1)
        known = torch.tensor(chosen, dtype=torch.float64).expand(256, -1) / 255
        chosen.append(mixture(part, kept).log_prob(torch.cat([known, GRID], 1)).argmax().item())
    assert (p_x.mode * 255).round().flatten().tolist() == chosen
    draws = mixture(form, theta.expand(10_000, -1, -1, -1)).sample(torch.Generator().manual_seed(2))
    assert ((draws.mean(0) - p_x.mean[0]).abs() < 5 * draws.std(0) / math.sqrt(len(draws)) + 1e-3).all()


def test_mean_has_a_gradient() -> None:
    form = MixtureForm(3, 2, True)
    theta = drawn(form, 1, 1, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: mixture(form, t).mean, theta)


@pytest.mark.parametrize("autoregressive", [False, True])
def test_score_by_feature_is_that_of_shifted_locations(autoregressive: bool) -> None:
    form = MixtureForm(3, 2, autoregressive)
    theta, x, step = drawn(form, 2).requires_grad_(), images(form, 2), 1e-6
    gradient = torch.autograd.grad(mixture(form, theta).log_prob(x).sum(), theta)[0]
    likelihood = (ChannelLogisticMixtureLikelihood if autoregressive else LogisticMixtureLikelihood)(18, 2)
    score = likelihood.by_feature(gradient)
    assert score.shape == (2, 18)
    for feature in range(18):
        pixel, channel = divmod(feature, 3)
        shifted = []
        for sign in (1, -1):
            moved = theta.detach().clone()
            mu = form.split(moved.flatten(2)).mu  # a view
            mu.view(2, 3, 2, 6)[:, channel, :, pixel] += sign * step
            shifted.append(mixture(form, moved).log_prob(x))
        torch.testing.assert_close(score[:, feature], (shifted[0] - shifted[1]) / (2 * step), rtol=1e-5, atol=1e-5)


def test_nan_in_gives_nan_out_of_everything() -> None:
    theta = drawn(MixtureForm(1, 3, False), 1, 1, 1)
    theta[0, 0] = torch.nan
    p_x = LogisticMixture(theta, 3)
    values = (p_x.log_prob(GRID[:1]), p_x.mean, p_x.mode, p_x.sample(torch.Generator().manual_seed(0)))
    assert all(value.isnan().all() for value in values)


def test_bits_of_a_uniform_law_are_eight() -> None:
    """A scale of half the range is flat in the middle: 8 bits a value, as `log_prob` in nats says over ln 2."""
    theta = torch.tensor([0.0, 0.0, 0.0]).view(1, 3, 1, 1)
    nats = LogisticMixture(theta, 1).log_prob(torch.tensor([[128 / 255]]))
    # the density of a logistic at its middle is 1/4s; a bin is 2/255 wide
    assert (-nats / math.log(2)).item() == pytest.approx(math.log2(255 * 2), rel=1e-4)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="gives 31 maps, which no number of channels makes of 10 components"):
        LogisticMixture(torch.zeros(1, 31, 2, 2))
    p_x = LogisticMixture(torch.zeros(1, 90, 2, 2))
    with pytest.raises(InputError, match="x has 4 numbers and the decoder gives 3 channels of 2x2"):
        p_x.log_prob(torch.zeros(1, 4))
    for value in (0.5 / 255, -1 / 255, 256 / 255, 128.0, torch.nan):
        with pytest.raises(InputError, match="none of the 256 values"):
            p_x.log_prob(torch.full((1, 12), value))
    for likelihood in (LogisticMixtureLikelihood, ChannelLogisticMixtureLikelihood):
        with pytest.raises(InputError, match="both are at least 1"):
            likelihood(12, components=0)
