"""disent: every likelihood as its losses mean it, every kind of its data, its frameworks under lambda, its notes."""

import pytest
import torch

pytest.importorskip("disent")

from adapters.hosts.disent_images import DATA, IMAGES, built, trained
from disent.dataset import DisentDataset
from disent.dataset.sampling import GroundTruthPairSampler
from disent.dataset.transform import ToImgTensorF32
from disent.schedule import LinearSchedule
from torch.utils.data import DataLoader, Subset

from lambda_vae.integrations import disent as adapter
from lambda_vae.integrations.disent import diagnose_disent, equalize_disent

pytestmark = pytest.mark.filterwarnings("default")  # the package's own

LOSSES = ["mse", "mae", "bce", "bernoulli", "normal"]


@pytest.mark.parametrize("reduction", ["mean", "mean_sum"])
@pytest.mark.parametrize("recon_loss", LOSSES)
@pytest.mark.parametrize("kind", ["Vae", "BetaVae", "DipVae", "BetaTcVae", "AdaVae"])
def test_likelihood_and_kl_weight_are_the_losss_own_but_for_one_factor(kind, recon_loss, reduction):
    beta = {} if kind == "Vae" else {"beta": 0.7}
    assert_same_loss(built(kind, recon_loss=recon_loss, loss_reduction=reduction, **beta))


@pytest.mark.parametrize("ratio", [True, False])
def test_info_vae_weighs_the_kl_by_its_own_ratio(ratio):
    assert_same_loss(built("InfoVae", info_alpha=-2.0, maintain_reg_ratio=ratio))


def assert_same_loss(framework):
    """Both differ between two codes, and between reconstruction and KL, by the same factor."""
    handler, latents = framework.recon_handler, framework.latents_handler
    weight = adapter._kl_weight(framework)
    log_likelihood, beside = adapter._likelihood(framework, weight)
    x = IMAGES.round()  # its "bernoulli" takes no grey levels
    z = torch.randn(2, len(x), 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        hosts = [handler.compute_loss_from_partial(framework.decode_partial(one), x) for one in z]
        ours = [-log_likelihood(x, one).mean() for one in z]
        q, p = framework.encode_dists(x)
        hosts_kl = weight * latents.compute_kl_loss(q, p)
        ours_kl = beside * torch.distributions.kl_divergence(q, p).sum(1).mean()
    factor = float(ours_kl / hosts_kl)
    assert float(ours[0] - ours[1]) == pytest.approx(factor * float(hosts[0] - hosts[1]), rel=1e-3)


@pytest.mark.parametrize(("reduction", "variance"), [("mean", 0.003 * 64 / (2 * 4)), ("mean_sum", 0.003 / 2)])
def test_the_default_noise_is_what_the_page_says(reduction, variance):
    log_likelihood, beside = adapter._likelihood(built(loss_reduction=reduction), 0.003)
    assert float(log_likelihood.std) ** 2 == pytest.approx(variance)
    assert beside == 1.0


def test_every_kind_of_its_data_gives_the_same_report():
    framework, dataset = built().eval(), DisentDataset(DATA, transform=ToImgTensorF32())
    images = torch.stack([dataset[i]["x_targ"][0] for i in range(64)])
    first = Subset(dataset, range(64))
    rates = [diagnose_disent(framework, data).rate for data in (images, first, DataLoader(first, batch_size=20))]
    assert rates == pytest.approx([rates[0]] * 3)
    pairs = DisentDataset(DATA, sampler=GroundTruthPairSampler(), transform=ToImgTensorF32())
    assert diagnose_disent(framework, Subset(pairs, range(32))).kl.shape == (4,)


def test_of_augmented_images_the_encoder_sees_those_and_the_likelihood_the_targets():
    dataset = DisentDataset(DATA, transform=ToImgTensorF32(), augment=torch.zeros_like)
    seen = []
    framework = built().eval()
    framework._model._encoder.register_forward_hook(lambda encoder, given, z: seen.append(given[0]))
    report = diagnose_disent(framework, Subset(dataset, range(64)))
    assert not any(bool(x.any()) for x in seen)
    images = torch.stack([dataset[i]["x_targ"][0] for i in range(64)])
    with torch.no_grad():
        drawn = framework.encode_dists(torch.zeros_like(images))[0].sample((100,))
        log_likelihood = torch.stack([adapter._likelihood(framework, 0.003)[0](images, z).mean() for z in drawn]).mean()
    assert report.active_units == 0
    assert report.nll_bound - report.rate == pytest.approx(-float(log_likelihood), rel=0.05)


@pytest.mark.parametrize("kind", ["Vae", "InfoVae", "DipVae"])
def test_lambda_acts_in_its_frameworks(kind):
    framework = built(kind, recon_loss="bce")
    callback = equalize_disent(framework, 1.05, refresh_every=1)
    trained(framework, [callback])
    assert bool((callback.equalizer.exponent > 1.0).all())
    assert diagnose_disent(framework, IMAGES, equalizer=callback.equalizer).nll_bound > 0


def test_a_schedule_an_absent_kl_and_what_stands_beside_are_told():
    framework = built("DipVae")
    framework.register_schedule("beta", LinearSchedule(0, 8), logging=False)
    report = diagnose_disent(trained(framework), IMAGES)
    assert any("beta is scheduled" in note for note in report.notes)
    assert any("near the identity" in note for note in report.notes)
    report = diagnose_disent(built(disable_reg_loss=True).eval(), IMAGES)
    assert any("has no KL" in note for note in report.notes)
