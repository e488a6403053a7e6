"""diffusers' autoencoders: bit for bit the host at lambda = 1, narrow noise and the host's KL above it, and a cure."""

import copy

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("diffusers")

import diffusers
from diffusers import AsymmetricAutoencoderKL, AutoencoderKL, AutoencoderKLWan, AutoencoderTiny, VQModel
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from sklearn.datasets import load_digits

from lambda_vae.errors import InputError
from lambda_vae.integrations.diffusers import (
    diagnose_diffusers,
    equalize_diffusers,
    std_of_kl_weight,
)
from lambda_vae.likelihoods import gaussian

KL_WEIGHT, EPOCHS = 0.1, 8
STD = std_of_kl_weight(KL_WEIGHT)
BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
SMALL = {**BLOCKS, "in_channels": 1, "out_channels": 1, "block_out_channels": (8, 8), "norm_num_groups": 4}


def host(seed=0, channels=8, kind=AutoencoderKL, **config):
    torch.manual_seed(seed)
    if kind is AutoencoderKL:
        config = {**SMALL, "sample_size": 8, "mid_block_add_attention": False, **config}
    return kind(latent_channels=channels, **config).train()


@pytest.fixture(scope="module")
def digits():
    return torch.tensor(load_digits().images).float()[:, None] / 8 - 1


def trained(model, images, epochs, equalizer=None):
    """Squared error + 0.1 KL, in a loop as people write it; chance from the global generator."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(epochs):
        for x in images[torch.randperm(len(images))].split(100):
            posterior = model.encode(x).latent_dist
            reconstruction = model.decode(posterior.sample()).sample
            loss = F.mse_loss(reconstruction, x, reduction="sum") / len(x) + KL_WEIGHT * posterior.kl().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if equalizer is not None:
            equalizer.end_epoch()
    return model


@pytest.fixture(scope="module")
def plain(digits):
    return trained(host(), digits[:1400], EPOCHS).eval()


@pytest.fixture(scope="module")
def cured(digits):
    model = host()
    equalizer = equalize_diffusers(model, 1.2, refresh_every=1, release_epochs=4, total_epochs=EPOCHS)
    return trained(model, digits[:1400], EPOCHS, equalizer).eval()


def narrow(model, exponent):
    equalizer = equalize_diffusers(model, 1.1)
    equalizer.exponent.copy_(torch.linspace(1.0, exponent, equalizer.latent_dim))
    return equalizer


def test_with_delta_infinite_a_training_is_the_hosts_bit_for_bit(digits):
    untouched, model = host(), host()
    equalizer = equalize_diffusers(model, float("inf"), refresh_every=1)
    trained(untouched, digits[:200], 2)
    trained(model, digits[:200], 2, equalizer)
    for name, weight in untouched.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)
    assert not torch.equal(untouched.encoder.conv_in.weight, host().encoder.conv_in.weight)
    assert bool((equalizer.running_std != 1).all())


def held(posterior):
    return "sample" in vars(posterior)


def test_samples_are_narrow_and_all_else_is_the_hosts(digits):
    model, plain = host(), host()
    exponent = narrow(model, 4.0).exponent.view(8, 1, 1)
    ours, theirs = model.encode(digits[:4]).latent_dist, plain.encode(digits[:4]).latent_dist
    assert held(ours)
    z, wide = (q.sample(torch.Generator().manual_seed(0)) for q in (ours, theirs))
    eps = (wide - theirs.mean) / theirs.std
    assert bool((theirs.std < 1).any())
    expected = theirs.mean + torch.where(theirs.std < 1, theirs.std**exponent, theirs.std) * eps
    assert torch.allclose(z, expected, atol=1e-5)
    assert not torch.allclose(z[:, 1:], wide[:, 1:], atol=1e-2)
    assert torch.equal(z[:, 0], wide[:, 0])
    assert torch.equal(ours.kl(), theirs.kl())
    assert torch.equal(ours.mode(), theirs.mode())
    assert torch.equal(ours.nll(wide), theirs.nll(wide))
    assert torch.equal(model(digits[:4]).sample, plain(digits[:4]).sample)


@pytest.mark.filterwarnings("ignore:The tiled_encode implementation:FutureWarning")  # the host's own, of its method
def test_every_way_to_encode_is_narrow(digits):
    model = host()
    equalizer = narrow(model, 4.0)
    (posterior,) = model.encode(digits[:4], return_dict=False)
    assert held(posterior)
    reconstructions = [host()(digits[:4], True, generator=torch.Generator().manual_seed(0)).sample]
    reconstructions += [model(digits[:4], True, generator=torch.Generator().manual_seed(0)).sample]
    assert not torch.allclose(*reconstructions)
    assert float(equalizer._seen[3, 0]) == 4 * 16
    model.enable_slicing()
    model.enable_tiling()
    for answer in (model.encode(digits[:4].repeat(1, 1, 2, 2)), model.tiled_encode(digits[:4])):
        assert held(answer.latent_dist)
    assert held(model.tiled_encode(digits[:4], return_dict=False)[0])


def test_lambda_follows_what_was_sampled_and_eval_mode_is_untouched(digits):
    model, plain = host(), host()
    equalizer = equalize_diffusers(model, 1.1, refresh_every=1)
    sampled = model.encode(digits[:64]).latent_dist
    sampled.sample()
    model.encode(digits[64:128]).latent_dist.mode()
    equalizer.end_epoch()
    assert torch.allclose(equalizer.running_std, sampled.std.detach().mean((0, 2, 3)))
    assert bool((equalizer.exponent > 1).all())
    model.eval()
    ours, theirs = (one.eval().encode(digits[:4]).latent_dist for one in (model, plain))
    assert type(ours) is DiagonalGaussianDistribution
    assert torch.equal(*(q.sample(torch.Generator().manual_seed(0)) for q in (ours, theirs)))


def test_the_hosts_own_files_hold_an_equalized_model(tmp_path, digits):
    model = host()
    equalizer = narrow(model, 4.0)
    model.save_pretrained(tmp_path)
    loaded = AutoencoderKL.from_pretrained(tmp_path)
    assert torch.equal(loaded(digits[:4]).sample, model.eval()(digits[:4]).sample)
    assert not hasattr(loaded, "equalizer")
    assert equalize_diffusers(loaded, 1.1).exponent.tolist() == [1.0] * 8
    resumed = host(seed=5)
    equalize_diffusers(resumed, 1.1)
    with pytest.warns(UserWarning, match="the weights hold no lambda; it starts at 1"):
        resumed.load_state_dict(host().state_dict())  # the host's training script resumes so
    assert torch.equal(resumed.encoder.conv_in.weight, model.encoder.conv_in.weight)
    resumed.load_state_dict(model.state_dict())
    assert torch.equal(resumed.equalizer.exponent, equalizer.exponent)
    broken = {name: value for name, value in model.state_dict().items() if name != "equalizer.exponent"}
    with pytest.raises(RuntimeError, match=r"equalizer\.exponent"):
        resumed.load_state_dict(broken)


def test_a_copy_of_the_model_has_an_equalizer_of_its_own(digits):
    model = host()
    equalize_diffusers(model, 1.1)
    twin = copy.deepcopy(model)
    twin.encode(digits[:4]).latent_dist.sample()
    assert float(twin.equalizer._seen[3, 0]) > 0
    assert float(model.equalizer._seen[3, 0]) == 0


def test_the_plain_model_collapses_and_says_why(plain, digits):
    report = diagnose_diffusers(plain, digits[1400:], std=STD)
    assert report.active_units <= 4
    assert report.verdicts.count("collapsed") >= 4
    assert report.cause_counts["gradient imbalance"] >= 1
    assert not any("N(0, I)" in note for note in report.notes)


def test_one_line_wakes_channels(plain, cured, digits):
    before, after = (diagnose_diffusers(model, digits[1400:], std=STD) for model in (plain, cured))
    assert after.active_units >= before.active_units + 2
    assert after.excess_kl == pytest.approx(0.0, abs=1e-6)  # released


@torch.no_grad()
def silenced(model, channels):
    """The channel's posterior is the prior, and the decoder does not look at it."""
    model = copy.deepcopy(model)
    for channel in channels:
        for row in (channel, channel + 8):
            model.quant_conv.weight[row], model.quant_conv.bias[row] = 0.0, 0.0
        model.post_quant_conv.weight[:, channel] = 0.0
    return model


def test_planted_dead_channels_are_found(cured, digits):
    report = diagnose_diffusers(cured, digits[1400:], std=STD, iw_samples=8)
    dead = report.signal_power.topk(2).indices.tolist()
    found = diagnose_diffusers(silenced(cured, dead), digits[1400:], std=STD, iw_samples=8)
    assert [found.verdicts[i] for i in dead] == ["collapsed", "collapsed"]
    assert set(torch.nonzero(found.active).flatten().tolist()) == set(
        torch.nonzero(report.active).flatten().tolist()
    ) - set(dead)


def test_every_site_may_be_a_dimension_and_has_the_lambda_of_its_channel(cured, digits):
    model = copy.deepcopy(cured)
    model.equalizer.exponent.copy_(torch.arange(1.0, 9.0))
    report = diagnose_diffusers(model, digits[1400:1500], std=STD, dim="site", iw_samples=2)
    assert len(report.kl) == 8 * 16
    assert torch.equal(report.exponent, torch.arange(1.0, 9.0).repeat_interleave(16))
    channels = diagnose_diffusers(model, digits[1400:1500], std=STD, iw_samples=2)
    assert torch.allclose(report.kl.view(8, 16).sum(1), channels.kl, rtol=1e-5)
    assert channels.excess_kl == pytest.approx(report.excess_kl, rel=1e-5)
    assert diagnose_diffusers(model, digits[1400:1500], std=STD, iw_samples=2, equalizer=None).excess_kl == 0.0


def test_codes_that_do_not_fit_the_prior_are_named(plain, digits):
    model = copy.deepcopy(plain)
    with torch.no_grad():
        model.quant_conv.weight[:8] *= 10.0
        model.quant_conv.bias[8:] -= 10.0
    report = diagnose_diffusers(model, digits[1400:], std=STD, iw_samples=2)
    assert any("decoding N(0, I) gives noise" in note for note in report.caveats)


@pytest.mark.parametrize("averaged", [False, True])
def test_std_makes_the_hosts_loss_an_elbo(averaged):
    x, z = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    kl, weight, count = torch.rand(5), 1e-3, 48 if averaged else 1
    loss = (x - z).square().flatten(1).sum(1) / count + weight * kl
    std = std_of_kl_weight(weight, count)
    elbo = gaussian(lambda z: z, std=std)(x, z) - kl
    scaled = -elbo * 2 * std**2 / count
    assert torch.allclose(loss.diff(), scaled.diff(), atol=1e-4)


WAN = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 1], "num_res_blocks": 1, "temperal_downsample": [False]}
OTHERS = {
    "asymmetric": lambda: host(
        kind=AsymmetricAutoencoderKL,
        in_channels=1,
        out_channels=1,
        **BLOCKS,
        down_block_out_channels=(8, 8),
        up_block_out_channels=(8, 8),
        norm_num_groups=4,
    ),
    "video": lambda: AutoencoderKLWan(**WAN).train(),
}


@pytest.mark.parametrize(("name", "shape"), [("asymmetric", (2, 1, 8, 8)), ("video", (2, 3, 1, 16, 16))])
def test_others_of_its_kind_are_equalized_too(name, shape):
    model, x = OTHERS[name](), torch.randn(shape)
    equalizer = equalize_diffusers(model, 1.1, refresh_every=1)
    posterior = model.encode(x).latent_dist
    assert posterior.mean.shape[1] == equalizer.latent_dim
    posterior.sample()
    equalizer.end_epoch()
    assert bool((equalizer.exponent > 1).all())


def test_sound_has_its_channels_second():
    class Sound(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config = diffusers.configuration_utils.FrozenDict(in_channels=2, latent_channels=4)
            self.inner = torch.nn.Conv1d(2, 8, 4, stride=4)
            self.outer = torch.nn.ConvTranspose1d(4, 2, 4, stride=4)
            self.outer.weight = torch.nn.Parameter(self.inner.weight[:4].detach())  # so that it reconstructs

        def encode(self, x):
            return diffusers.models.modeling_outputs.AutoencoderKLOutput(DiagonalGaussianDistribution(self.inner(x)))

        def decode(self, z):
            return diffusers.models.autoencoders.vae.DecoderOutput(self.outer(z))

    torch.manual_seed(0)
    assert len(diagnose_diffusers(Sound().eval(), torch.randn(64, 2, 12), std=1.0, iw_samples=2).kl) == 4


REFUSED = ("AutoencoderRAE", "AutoencoderDC", "AutoencoderKLCosmos", "UNet2DModel")


@pytest.mark.parametrize("name", REFUSED)
def test_classes_without_such_a_posterior_are_refused_by_name(name):
    kind = getattr(diffusers, name)
    model = kind.__new__(kind)  # its name is enough, and building it takes minutes
    with pytest.raises(InputError, match=rf"{name} has no encode\(x\)\.latent_dist .*unwrapped"):
        equalize_diffusers(model, 1.1)


def test_what_cannot_be_equalized_is_refused():
    for model in (VQModel(block_out_channels=(32,)), AutoencoderTiny()):
        for refuse in (lambda m: equalize_diffusers(m, 1.1), lambda m: diagnose_diffusers(m, [], std=1.0)):
            with pytest.raises(InputError, match=type(model).__name__):
                refuse(model)
    model = host()
    with pytest.raises(InputError, match=r"delta is 1\.0"):
        equalize_diffusers(model, 1.0)
    assert equalize_diffusers(model, 1.1) is model.equalizer
    with pytest.raises(InputError, match=r"AutoencoderKL.encode is equalized already, with delta=1.1"):
        equalize_diffusers(model, 1.2)
    quantised, unknown = host(), host()
    quantised.register_to_config(regularizer="fsq")
    with pytest.raises(InputError, match=r"regularizer 'fsq'.*use 'kl'"):
        equalize_diffusers(quantised, 1.1)
    unknown._internal_dict = {"in_channels": 1}
    with pytest.raises(InputError, match=r"AutoencoderKL does not say .* give latent_channels="):
        equalize_diffusers(unknown, 1.1)
    assert equalize_diffusers(unknown, 1.1, latent_channels=8).latent_dim == 8


def test_what_cannot_be_diagnosed_is_refused(plain, digits):
    x = digits[:8]
    with pytest.raises(InputError, match=r"model\.eval\(\) before"):
        diagnose_diffusers(host(), x, std=1.0)
    with pytest.raises(InputError, match=r"shape \[8, 3, 8, 8\]; AutoencoderKL takes \[B, 1, \.\.\.\]"):
        diagnose_diffusers(plain, x.repeat(1, 3, 1, 1), std=1.0)
    with pytest.raises(InputError, match=r"images are torch\.uint8; give floats"):
        diagnose_diffusers(plain, x.byte(), std=1.0)
    with pytest.raises(InputError, match="std is 0"):
        diagnose_diffusers(plain, x, std=0.0)
    for given, what in (((0.0,), "kl_weight is 0"), ((1.0, 0), "averaged_over is 0"), ((float("nan"),), "is nan")):
        with pytest.raises(InputError, match=what):
            std_of_kl_weight(*given)
