"""Names of the last release: they work, and say what they are called now."""

from importlib import import_module

import pytest
import torch
from diagnostics.linear_gaussian import draw, equalized, linear_vae, loadings

import lambda_vae
from lambda_vae import diagnostics
from lambda_vae.diagnostics import quick_reading
from lambda_vae.distributions import DiagGaussian, GaussianMixture
from lambda_vae.equalization import Equalization
from lambda_vae.errors import InputError
from lambda_vae.generation import Judge, aggregate_codes
from lambda_vae.posteriors import FlowPosterior
from lambda_vae.priors import StandardNormalPrior
from lambda_vae.records import RunRow


@pytest.mark.parametrize(
    ("package", "name", "home"),
    [
        ("adapters", "diagnose", "any_vae"),
        ("adapters", "equalize_class", "equalizing"),
        ("adapters", "gaussian", "likelihoods"),
        ("adapters.likelihoods", "DecoderLikelihood", "likelihoods"),
        ("experiments", "train", "runs"),
        ("experiments", "CompareConfig", "comparisons"),
        ("experiments", "share_run", "sharing"),
    ],
)
def test_a_name_of_the_last_release_says_where_it_lives_now(package, name, home):
    module = import_module(f"lambda_vae.{package}")
    with pytest.warns(DeprecationWarning, match=rf"{package}\.{name} is called lambda_vae\.{home}\.{name} now"):
        found = getattr(module, name)
    assert found is getattr(import_module(f"lambda_vae.{home}"), name)


@pytest.mark.parametrize(
    ("package", "old", "new"), [("distributions", "Law", "PosteriorDistribution"), ("distributions", "Draw", "Sample")]
)
def test_a_renamed_name_of_the_last_release_is_found_in_its_package(package, old, new):
    module = import_module(f"lambda_vae.{package}")
    with pytest.warns(DeprecationWarning, match=rf"{package}\.{old} is called lambda_vae\.{package}\.{new} now"):
        found = getattr(module, old)
    assert found is getattr(module, new)


def test_a_prior_that_meets_its_data_is_still_asked():
    class Old(StandardNormalPrior):
        def meet(self, x):
            self.seen = len(x)

    prior = Old(2)
    with pytest.warns(DeprecationWarning, match="Old.meet is called init_from_data now"):
        prior.init_from_data(torch.zeros(3, 4))
    assert prior.seen == 3


def test_an_integration_is_the_same_module_under_its_old_name():
    with pytest.warns(DeprecationWarning, match=r"is called lambda_vae\.integrations\.lightning now"):
        old = import_module("lambda_vae.adapters.hosts.lightning")
    new = import_module("lambda_vae.integrations.lightning")
    assert old is new
    assert new.__spec__.name == "lambda_vae.integrations.lightning"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("latents", "any_vae.latents"),
        ("diagnose", "any_vae._diagnose"),
        ("equalize", "equalizing._equalize"),
        ("equalized_normal", "equalizing.equalized_normal"),
        ("likelihoods.continuous", "likelihoods.continuous"),
    ],
)
def test_a_module_below_adapters_is_found_where_it_went(old, new):
    with pytest.warns(DeprecationWarning, match=rf"adapters\.{old} is called lambda_vae\.{new} now"):
        assert import_module(f"lambda_vae.adapters.{old}") is import_module(f"lambda_vae.{new}")


@pytest.mark.parametrize("name", ["nothing", "model"])
def test_a_module_that_adapters_never_had_is_not_found(name):
    with pytest.raises(ModuleNotFoundError, match=rf"lambda_vae\.adapters\.{name}"):
        import_module(f"lambda_vae.adapters.{name}")


@pytest.mark.parametrize(
    "name", ["DRAWINGS", "find_drawing", "write_drawing", "Drawing", "load_comparison", "load_run"]
)
def test_what_reports_gave_away_is_found_there_once_more(name):
    with pytest.warns(DeprecationWarning, match=rf"reports\.{name} is called lambda_vae\.(paper|records)\."):
        assert getattr(import_module("lambda_vae.reports"), name) is not None


def test_functions_of_data_work_for_one_more_release():
    data = import_module("lambda_vae.data")
    with pytest.warns(DeprecationWarning, match=r"lambda_vae\.data\.batches is called"):
        batches = data.batches
    with pytest.warns(DeprecationWarning, match=r"lambda_vae\.data\.steps_per_epoch is called"):
        steps = data.steps_per_epoch
    shares = [[batch.tolist() for batch in batches(torch.arange(7), 2, rank=rank, world=2)] for rank in (0, 1)]
    assert shares == [[[0, 1], [4, 5]], [[2, 3], [6]]]
    assert steps(7, 2, world=2) == 2
    assert steps(7, 2, world=2, drop_last=True) == 1
    with pytest.raises(InputError, match="rank is 2 of 2 processes"):
        batches(torch.arange(7), 2, rank=2, world=2)


@pytest.mark.parametrize("name", ["nothing", "__path__x"])
def test_a_name_that_never_was_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(import_module("lambda_vae.experiments"), name)
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(lambda_vae, name)


def test_a_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        import_module("lambda_vae.experimental")


def test_lambda_beside_its_model_is_taken_as_before_with_a_word():
    vae, x = linear_vae(loadings([4.0, 2.0])), draw(loadings([4.0, 2.0]), 50)
    exponent, eps = torch.tensor([2.0, 3.0], dtype=torch.float64), torch.randn(1, 50, 2, dtype=torch.float64)
    bound = equalized(vae, exponent, 1.1)

    def same(old, new):
        with pytest.warns(DeprecationWarning, match="the model knows its lambda: leave out") as told:
            found = old()
        assert [one.filename for one in told] == [__file__]
        assert torch.equal(found, new)

    def report(vae, **old):
        return lambda_vae.diagnose(vae, x, iw_samples=2, **old).snr_capacity_predicted

    def quick(vae, **old):
        return torch.tensor(quick_reading(vae, x, **old)["nll_bound"])

    same(lambda: report(vae, exponent=exponent, delta=1.1), report(bound))
    same(lambda: quick(vae, exponent=exponent), quick(bound))
    same(lambda: quick(bound, exponent=None), quick(vae))  # as a plain VAE, on purpose
    same(lambda: vae(x, eps, exponent).z, bound(x, eps).z)
    same(lambda: vae.sampled(vae.encode(x), exponent).std, bound.sampled(bound.encode(x)).std)
    codes = [aggregate_codes(bound, [x], torch.Generator().manual_seed(0))]
    same(lambda: aggregate_codes(vae, [x], exponent, torch.Generator().manual_seed(0)), *codes)
    same(lambda: Judge("own", vae, exponent).vae.equalization.exponent, exponent)
    assert Judge("own", bound).exponent is exponent


def test_what_diagnostics_no_longer_holds_is_found_in_estimation():
    for name, home in (("Reading", "estimation.Reading"), ("examine", "diagnostics.compute_report")):
        with pytest.warns(DeprecationWarning, match=rf"diagnostics\.{name} is called lambda_vae\.{home} now"):
            found = getattr(diagnostics, name)
        assert found is getattr(import_module(f"lambda_vae.{home.partition('.')[0]}"), home.partition(".")[2])
    state = diagnostics.DimensionState(1.0, 0.5, ratio=1.0, decoder_capacity=1.0, gradient=-2.0)
    with pytest.warns(DeprecationWarning, match=r"DimensionState\.supply is called .*\.encoder_snr now"):
        assert state.supply == state.encoder_snr == 4.0
    with pytest.warns(DeprecationWarning, match=r"DimensionState\.demand is called .*\.decoder_curvature now"):
        assert state.demand == state.decoder_curvature == 4.0
    assert diagnostics.Label.OVER_SHARP is diagnostics.Label.UNDER_DISPERSED


def test_draws_of_distributions_have_their_old_name():
    q = DiagGaussian(torch.ones(3, 2), torch.full((3, 2), -1.0))
    for one in (q, FlowPosterior(4, 2, "planar", 1, ())(torch.ones(3, 4)), GaussianMixture(q.mu, q.logvar)):
        eps = torch.full((4, 3, one.noise_dim), 0.5)
        new = one.rsample_and_log_prob(eps)
        with pytest.warns(DeprecationWarning, match=r"\.draw is called \w+\.rsample_and_log_prob now"):
            old = one.draw(eps)
        assert torch.equal(old.z, new.z)


def test_the_sampling_step_of_a_gaussian_has_its_old_name():
    q, exponent = DiagGaussian(torch.ones(3, 2), torch.full((3, 2), -1.0)), torch.tensor([2.0, 3.0])
    with pytest.warns(DeprecationWarning, match=r"equalized\(exponent\) is called .*Equalization\(exponent\)\.sampled"):
        old = q.equalized(exponent)
    assert torch.equal(old.logvar, Equalization(exponent).sampled(q).logvar)


def test_what_refines_a_posterior_has_its_old_keyword():
    vae, x = linear_vae(loadings([4.0, 2.0])), draw(loadings([4.0, 2.0]), 5)
    eps = torch.zeros(1, 5, 2, dtype=torch.float64)

    def wider(q):
        return q.with_logvar(q.logvar + 1)

    with pytest.warns(DeprecationWarning, match=r"improve= is called refine= now") as told:
        old = vae(x, eps, improve=wider)
    assert [one.filename for one in told] == [__file__]
    assert torch.equal(old.q.logvar, vae(x, eps, refine=wider).q.logvar)


def test_a_row_gives_its_values_by_subscript_once_more():
    row = RunRow(run="a", method="vae", label="VAE", status="done", nll_bound=90.0, order=("run", "nll_bound"))
    with pytest.warns(DeprecationWarning, match=r"row\['nll_bound'\] is called row\.nll_bound now"):
        assert row["nll_bound"] == 90.0
