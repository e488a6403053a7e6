"""Every class of diffusers with a Gaussian posterior: measured as the host itself would, or refused by name."""

import importlib
import inspect
import pkgutil

import pytest
import torch
from torch.distributions import Normal

pytest.importorskip("diffusers")

import diffusers.models.autoencoders
from diffusers_kinds import KINDS, OWN, tiny

from lambda_vae.errors import InputError
from lambda_vae.integrations.diffusers import diagnose_diffusers, equalize_diffusers, std_of_kl_weight

STD = 0.7

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")  # the hosts'
DRAWS = "ConsistencyDecoderVAE"
MEASURED = sorted(set(KINDS) - {DRAWS})


def data(name, count=None):
    shape = (KINDS | OWN)[name].shape
    return 0.5 * torch.randn((count or shape[0], *shape[1:]), generator=torch.Generator().manual_seed(1))


def from_host(model, x, **given):
    """What the class itself gives back, one example at a time, which every class can."""
    ways = {"num_frames": 1} if type(model).__name__ == "AutoencoderKLTemporalDecoder" else {}
    back = torch.cat([model(one, **ways, **given).sample for one in x.split(1)])
    return back.transpose(1, 2) if type(model).__name__ == "AutoencoderKLAllegro" else back  # it gives [B, T, C, H, W]


def target(model, x):
    return model.mel_converter(x) if type(model).__name__ == "MMAudioVAE" else x


def posterior(model, x):
    """The host's q(z|x), example by example."""
    if type(model).__name__ == "AutoencoderVidTok":  # as its forward pads it
        x = torch.cat((x[:, :, :1].expand(-1, -1, model.temporal_compression_ratio - 1, -1, -1), x), 2)
    laws = [model.encode(one).latent_dist for one in x.split(1)]
    return torch.cat([law.mean for law in laws]), torch.cat([law.logvar for law in laws])


def kl(mu, logvar):
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar).flatten(1).sum(1)


def has_narrow(model, x):
    return bool((model.encode(x).latent_dist.std < 1.0).any())


def test_the_table_is_whole():
    found = set()
    for one in pkgutil.iter_modules(diffusers.models.autoencoders.__path__):
        module = importlib.import_module(f"diffusers.models.autoencoders.{one.name}")
        for name, kind in vars(module).items():
            own = inspect.isclass(kind) and kind.__module__ == module.__name__ and hasattr(kind, "config_name")
            if own and callable(getattr(kind, "encode", None)):
                names = inspect.unwrap(kind.encode).__globals__
                found |= {name} if "DiagonalGaussianDistribution" in names else set()
    assert found == set(KINDS)


@pytest.mark.parametrize("name", MEASURED)
def test_the_kl_and_the_bound_are_the_hosts(name):
    model, x = tiny(name), data(name)
    report = diagnose_diffusers(model, x, std=STD, iw_samples=8)
    with torch.no_grad():
        mu, logvar = posterior(model, x)
        torch.manual_seed(3)
        nll = torch.stack(
            [
                -Normal(from_host(model, x, sample_posterior=True), STD).log_prob(target(model, x)).sum()
                for _ in range(8)
            ]
        ) / len(x)
    assert float(report.kl.sum()) == pytest.approx(float(kl(mu, logvar).mean()), rel=1e-4)
    error = 5.0 * float(nll.std()) * (1 / 8 + 1 / 8) ** 0.5
    own = float(nll.mean() + kl(mu, logvar).mean())
    assert report.nll_bound == pytest.approx(own, abs=error + 1e-4 * abs(own))
    assert error < 0.1 * abs(own)


@pytest.mark.parametrize("name", sorted({*KINDS, *OWN} - {"AutoencoderKLKVAEVideo"}))
def test_every_class_is_equalized_channel_by_channel(name):
    with torch.no_grad():
        model = next(one for one in (tiny(name, seed) for seed in range(9)) if has_narrow(one, data(name)[:1]))
    model.train()
    equalizer = equalize_diffusers(model, 1.1)
    q = model.encode(data(name)[:1]).latent_dist
    own = type(q).sample(q, torch.Generator().manual_seed(0))
    assert torch.equal(q.sample(torch.Generator().manual_seed(0)), own)  # at lambda = 1
    equalizer.exponent.fill_(3.0)
    q = model.encode(data(name)[:1]).latent_dist
    assert q.mean.shape[1] == equalizer.latent_dim
    z = q.sample(torch.Generator().manual_seed(0))
    wide = type(q).sample(q, torch.Generator().manual_seed(0))
    narrow = q.std < 1.0
    assert bool(narrow.any())
    expected = q.mean + q.std**3 * (wide - q.mean) / q.std
    torch.testing.assert_close(z[narrow], expected[narrow], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["AutoencoderKLMiniMaxH3Audio", "AutoencoderOobleck"])
def test_classes_with_a_gaussian_of_their_own_are_measured(name):
    model = tiny(name)
    x = 0.5 * torch.randn(OWN[name].shape, generator=torch.Generator().manual_seed(1))
    report = diagnose_diffusers(model, x, std=STD, iw_samples=8)
    with torch.no_grad():
        q = model.encode(x).latent_dist
        own = kl(q.mean, 2.0 * q.std.log())
        torch.manual_seed(3)
        drawn = [model.decode(q.sample()).sample[..., : x.shape[-1]] for _ in range(8)]
        nll = torch.stack([-Normal(one, STD).log_prob(x).sum() for one in drawn]) / len(x)
    assert float(report.kl.sum()) == pytest.approx(float(own.mean()), rel=1e-4)
    assert report.nll_bound == pytest.approx(float(nll.mean() + own.mean()), abs=2.5 * float(nll.std()))
    if name == "AutoencoderOobleck":  # a sum over the channels alone, without the half
        assert float(q.kl()) == pytest.approx(2.0 * float(own.mean()) / q.mean.shape[2], rel=1e-4)


@pytest.mark.parametrize("name", sorted(OWN))
@torch.no_grad()
def test_sigma_is_the_classs_own_where_it_adds_a_floor_to_it_as_well(name):
    model, x = tiny(name).train(), data(name)
    equalizer = equalize_diffusers(model, 1.1)
    equalizer.exponent.fill_(1.5)
    for _ in range(2):  # which are measured, and the third is not
        model.encode(x).latent_dist.sample()
    q = model.encode(x).latent_dist
    q.mean.zero_()
    if name == "AutoencoderKLMiniMaxH3Audio":
        q.logs.fill_(-7.0)
        q.std.copy_(q.logs.exp())
    else:
        q.scale.fill_(-7.0)  # a view of its parameters
        q.std.copy_(torch.nn.functional.softplus(q.scale) + 1e-4)
    wide = type(q).sample(q, torch.Generator().manual_seed(0))
    z = q.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(z, q.std**0.5 * wide, rtol=1e-5, atol=0.0)
    assert float(q.std.max()) < 0.0015


def test_a_class_that_normalises_over_its_batch_is_refused():
    model = tiny("Cosmos3AVAEAudioTokenizer")
    x = torch.randn(OWN["Cosmos3AVAEAudioTokenizer"].shape, generator=torch.Generator().manual_seed(1))
    louder = torch.cat((x[:1], 3.0 * x[1:]))
    with torch.no_grad():
        codes = [model.encode(one).latent_dist.mean[0] for one in (x, louder)]
    assert not torch.allclose(*codes, rtol=1e-3)  # of the same first example
    with pytest.raises(InputError, match="Cosmos3AVAEAudioTokenizer divides sound by the loudest sample of its whole"):
        diagnose_diffusers(model, x, std=STD)


def test_a_class_whose_noise_is_fixed_says_so():
    model, x = tiny("AutoencoderKLKVAEVideo"), data("AutoencoderKLKVAEVideo")
    assert bool((model.encode(x).latent_dist.std == 1.0).all())
    assert any("every code the noise 1" in note for note in diagnose_diffusers(model, x, std=STD, iw_samples=2).notes)
    with pytest.raises(InputError, match="AutoencoderKLKVAEVideo gives every code the noise 1"):
        equalize_diffusers(model, 1.1)


def test_a_decoder_that_draws_is_asked_as_often_as_is_said():
    model, x = tiny(DRAWS), data(DRAWS)
    with pytest.raises(InputError, match=f"{DRAWS} draws its images in decode, .*; say draws=8"):
        diagnose_diffusers(model, x, std=STD)
    report = diagnose_diffusers(model, x, std=STD, draws=8, iw_samples=8)
    with torch.no_grad():
        own = kl(*posterior(model, x)).mean()
        torch.manual_seed(3)
        drawn = [model(x, sample_posterior=True).sample for _ in range(32)]
        nll = torch.stack([-Normal(one, STD).log_prob(x).sum() for one in drawn]) / len(x)
    assert float(report.kl.sum()) == pytest.approx(float(own), rel=1e-4)
    assert report.nll_bound == pytest.approx(
        float(nll.mean() + own), abs=5.0 * float(nll.std()) * (1 / 32 + 1 / 64) ** 0.5
    )
    assert any("8 times" in note for note in report.notes)


def test_a_clip_is_an_example_of_the_temporal_decoder_and_so_is_an_image():
    model = tiny("AutoencoderKLTemporalDecoder")
    clips = 0.5 * torch.randn(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    report = diagnose_diffusers(model, clips, std=STD, iw_samples=8)
    frames = clips.transpose(1, 2).flatten(0, 1)
    with torch.no_grad():
        mu, logvar = posterior(model, frames)
        torch.manual_seed(3)
        drawn = [torch.cat([model(c.transpose(0, 1), True, num_frames=3).sample for c in clips]) for _ in range(8)]
    nll = torch.stack([-Normal(one, STD).log_prob(frames).sum() for one in drawn]) / len(clips)
    own = 3.0 * float(kl(mu, logvar).mean())
    assert float(report.kl.sum()) == pytest.approx(own, rel=1e-4)
    assert report.nll_bound == pytest.approx(float(nll.mean()) + own, abs=2.5 * float(nll.std()))
    assert len(report.kl) == 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_model_computes_in_its_own_precision_and_all_densities_in_float32(dtype):
    model, x = tiny("AutoencoderKL").to(dtype), data("AutoencoderKL", 32)
    reports = [diagnose_diffusers(model, one, std=STD, iw_samples=8) for one in (x, x.to(dtype))]
    with torch.no_grad():
        q = model.encode(x.to(dtype)).latent_dist
        own = kl(q.mean.float(), q.logvar.float()).mean()
        nll = -Normal(model.decode(q.mode()).sample.float(), STD).log_prob(x).flatten(1).sum(1).mean()
    for report in reports:
        assert float(report.kl.sum()) == pytest.approx(float(own), rel=1e-5)
        assert report.nll_bound == pytest.approx(float(nll + own), rel=0.1)  # z is drawn, and was the mean above
    assert reports[0].nll_bound == pytest.approx(reports[1].nll_bound, rel=1e-3)


def test_channels_are_those_of_the_images_and_not_of_the_first_layer():
    mochi = tiny("AutoencoderKLMochi")
    with pytest.raises(InputError, match=r"shape \[2, 15, 7, 16, 16\]; AutoencoderKLMochi takes \[B, 3, \.\.\.\]"):
        diagnose_diffusers(mochi, torch.zeros(2, 15, 7, 16, 16), std=STD)
    config = {**KINDS["AutoencoderKLWan"].config, "in_channels": 12, "out_channels": 12, "patch_size": 2}
    wan = diffusers.AutoencoderKLWan(**config).eval()
    assert len(diagnose_diffusers(wan, torch.randn(2, 3, 1, 16, 16), std=STD, iw_samples=2).kl) == 4


def test_what_a_class_cannot_measure_is_told_with_the_line_that_can():
    config = KINDS["AutoencoderKLLTXVideo"].config
    x = data("AutoencoderKLLTXVideo")
    noisy = diffusers.AutoencoderKLLTXVideo(**config | {"decoder_inject_noise": (True,) * 5}).eval()
    with pytest.raises(InputError, match="AutoencoderKLLTXVideo injects noise into its decoder"):
        diagnose_diffusers(noisy, x, std=STD)
    timed = diffusers.AutoencoderKLLTXVideo(**config | {"timestep_conditioning": True}).eval()
    with pytest.raises(InputError, match="AutoencoderKLLTXVideo decodes at a timestep"):
        diagnose_diffusers(timed, x, std=STD)
    allegro = tiny("AutoencoderKLAllegro")
    with pytest.raises(InputError, match="leaves out what its tiles do not cover"):
        diagnose_diffusers(allegro, torch.zeros(2, 3, 16, 16, 16), std=STD)
    allegro.disable_tiling()
    with pytest.raises(InputError, match=r"call model\.enable_tiling\(\) before"):
        diagnose_diffusers(allegro, data("AutoencoderKLAllegro"), std=STD)
    with pytest.raises(InputError, match=r"gives \[3, 8, 8\] back for an example of \[3, 9, 9\]; cut the examples"):
        diagnose_diffusers(tiny("AutoencoderKL"), torch.zeros(2, 3, 9, 9), std=STD)
    with pytest.raises(
        InputError, match=r"AutoencoderKLLTX2Video could not encode images of shape \[2, 3, 10, 16, 16\]"
    ):
        diagnose_diffusers(tiny("AutoencoderKLLTX2Video"), torch.zeros(2, 3, 10, 16, 16), std=STD)
    with pytest.raises(InputError, match=r"MMAudioVAE takes floats \[B, samples\]"):
        diagnose_diffusers(tiny("MMAudioVAE"), torch.zeros(2, 1, 512), std=STD)


def test_the_hosts_kl_of_a_video_leaves_its_width_unsummed():
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    moments = torch.randn(3, 8, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    q = DiagonalGaussianDistribution(moments)
    assert q.kl().shape == (3, 6)
    assert float(q.kl().mean()) == pytest.approx(float(kl(q.mean, q.logvar).mean()) / 6)
    image = DiagonalGaussianDistribution(moments[..., 0])
    assert float(image.kl().mean()) == pytest.approx(float(kl(image.mean, image.logvar).mean()))
    weight = 1e-3  # squared error + weight * kl().mean() is squared error + (weight / 6) * KL
    assert std_of_kl_weight(weight, latent=q.mean.shape) == pytest.approx((weight / 6 / 2.0) ** 0.5)
    assert std_of_kl_weight(weight, latent=image.mean.shape) == std_of_kl_weight(weight)
    with pytest.raises(IndexError):
        DiagonalGaussianDistribution(moments[..., 0, 0]).kl()
    with pytest.raises(InputError, match=r"latent is \[3, 4, 2\], for which latent_dist\.kl\(\) has no value"):
        std_of_kl_weight(weight, latent=(3, 4, 2))
