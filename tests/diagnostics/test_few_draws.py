from linear_gaussian import draw, linear_vae, loadings

from lambda_vae.diagnostics import diagnose


def test_the_estimate_from_two_draws_never_exceeds_the_bound():
    weights = loadings([8.0, 4.0, 2.0])
    for examples in (2, 20, 200):
        report = diagnose(linear_vae(weights, std=[0.5, 0.4, 0.6]), draw(weights, examples))
        assert report.nll_iw <= report.nll_bound + 1e-9


def test_and_is_the_expected_bound():
    weights = loadings([8.0, 4.0, 2.0])
    vae, x = linear_vae(weights, std=[0.5, 0.4, 0.6]), draw(weights, 20_000)
    two, free = diagnose(vae, x), diagnose(vae, x, iw_samples=2)
    error = (two.best_importance.nll.stderr**2 + free.best_importance.nll.stderr**2) ** 0.5
    assert abs(two.nll_iw - free.nll_iw) < 0.2 + 4.0 * float(error)  # mirrored draws are worth a little more than two
