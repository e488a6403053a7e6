"""MONAI: what each loss stands for, dicts and volumes, and what is said of the forward that decodes mu + sigma."""

import math

import pytest
import torch
from torch.nn import functional

pytest.importorskip("monai", reason="MONAI is an extra")

from host_cases.monai import images, network
from host_cases.monai_autoencoderkl import SHAPE, kl_of
from monai.data import DataLoader, Dataset, MetaTensor
from monai.networks.nets import AutoencoderKL, VarAutoEncoder

from lambda_vae import InputError
from lambda_vae.integrations.monai import diagnose_monai, equalize_monai

pytestmark = pytest.mark.filterwarnings("default")

F = 64


def certain():
    """A network whose sigma is next to nothing, so that its bound is a plain number; in eval mode."""
    model = network()
    with torch.no_grad():
        model.logvar.weight.zero_()
        model.logvar.bias.fill_(-25.0)
    return model.eval()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", ["bce", "l1", "mse"])
def test_the_bound_is_the_loss_over_its_kl_weight_up_to_the_constants(loss, reduction):
    model, x, weight = certain(), images(60), 0.01 if reduction == "mean" else 0.5
    of = {"bce": functional.binary_cross_entropy, "l1": functional.l1_loss, "mse": functional.mse_loss}[loss]
    with torch.no_grad():
        out, mu, logvar, _ = model(x)
        error = float(of(out, x, reduction="sum")) / 60 / (F if reduction == "mean" else 1)
        kl = float(0.5 * (mu**2 + logvar.exp() - logvar - 1).sum()) / 60
    report = diagnose_monai(model, x, loss=loss, kl_weight=weight, reduction=reduction, iw_samples=2)
    total = weight * (F if reduction == "mean" else 1)  # of the KL against the summed error
    if loss == "bce":
        assert report.nll_bound == pytest.approx(error * (F if reduction == "mean" else 1) + kl, rel=1e-3)
        return
    constant = F * math.log(2 * total) if loss == "l1" else F / 2 * math.log(math.pi * total)
    assert report.nll_bound == pytest.approx(error / weight + kl + constant, rel=1e-3)


def test_the_notes_say_what_the_loss_stands_for():
    notes = " ".join(diagnose_monai(certain(), images(60), loss="l1", kl_weight=1e-4, iw_samples=2).notes)
    assert "64 voxels an image, stands for Laplace noise of scale 0.0064" in notes


def test_dicts_of_a_loader_are_taken_by_their_image():
    model, x = certain(), images(60)
    loader = DataLoader(Dataset([{"other": 0, "image": MetaTensor(image)} for image in x]), batch_size=20)
    options = {"loss": "bce", "kl_weight": 1.0, "reduction": "sum", "iw_samples": 2}
    assert diagnose_monai(model, loader, **options).rate == pytest.approx(diagnose_monai(model, x, **options).rate)


def test_volumes_have_a_lambda_and_a_verdict_a_channel():
    torch.manual_seed(0)
    model = AutoencoderKL(**{**SHAPE, "spatial_dims": 3})
    x = torch.rand(12, 1, 4, 4, 4)
    equalizer = equalize_monai(model, 1.1)
    for _ in range(2):
        model(x)
        equalizer.end_epoch()
    assert equalizer.exponent.shape == (3,)
    assert bool((equalizer.exponent > 1).all())
    model.eval()
    report = diagnose_monai(model, x, loss="l1", kl_weight=1e-3, iw_samples=2, equalizer=None)
    with torch.no_grad():
        mu, sigma = model.encode(x)
        kl = kl_of(mu.flatten(3), sigma.flatten(3))
    assert len(report.kl) == 3
    assert report.rate == pytest.approx(float(kl), rel=1e-4)


def test_a_forward_that_decodes_mu_plus_sigma_is_named():
    x, options = images(60), {"loss": "bce", "kl_weight": 1.0, "reduction": "sum", "iw_samples": 2}
    other = VarAutoEncoder(2, (1, 8, 8), 1, 4, channels=(4, 8), strides=(1, 2)).eval()
    assert "decodes mu + sigma" in diagnose_monai(other, x, **options).notes[-1]
    assert "mu + sigma" not in " ".join(diagnose_monai(certain(), x, **options).notes)


def test_cross_entropy_sees_a_decoder_without_its_last_sigmoid_too():
    x, options = images(60), {"loss": "bce", "kl_weight": 1.0, "reduction": "sum", "iw_samples": 2}
    model = certain()
    with_sigmoid = diagnose_monai(model, x, **options).nll_bound
    model.use_sigmoid = False
    assert diagnose_monai(model, x, **options).nll_bound == with_sigmoid


@pytest.mark.parametrize("weight", ["1", None, math.inf])
def test_a_weight_that_is_no_number_is_one_sentence(weight):
    with pytest.raises(InputError, match="kl_weight"):
        diagnose_monai(network().eval(), images(20), loss="bce", kl_weight=weight)


def test_images_of_another_shape_are_one_sentence_with_the_shape_that_is_taken():
    with pytest.raises(InputError, match=r"an image is \[1, 16, 16\], where this VarAutoEncoder takes \[1, 8, 8\]"):
        diagnose_monai(network().eval(), torch.rand(20, 1, 16, 16), loss="bce", kl_weight=1)
    flat = {"attention_levels": (False,), "with_encoder_nonlocal_attn": False, "with_decoder_nonlocal_attn": False}
    maps = AutoencoderKL(2, channels=(8,), num_res_blocks=1, norm_num_groups=8, **flat).eval()
    with pytest.raises(InputError, match=r"\[3, 8, 8\], where this AutoencoderKL takes \[1, \.\.\., \.\.\.\]"):
        diagnose_monai(maps, torch.rand(20, 3, 8, 8), loss="l1", kl_weight=1e-3)
