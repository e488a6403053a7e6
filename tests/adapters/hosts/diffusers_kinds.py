"""Every autoencoder of diffusers with a Gaussian posterior, as small as its class allows, and what it is fed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch
from torch import nn


@dataclass(frozen=True)
class Kind:
    """One class.

    Args:
        shape: Of a batch of its data.
        config: Of the tiny model.
        prepare: What its users call before they encode.
    """

    shape: tuple[int, ...]
    config: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[nn.Module], object] = lambda model: None


def _blocks(down: str, up: str, count: int) -> dict[str, Any]:
    return {"down_block_types": (down,) * count, "up_block_types": (up,) * count}


_FLAT = {**_blocks("DownEncoderBlock2D", "UpDecoderBlock2D", 2), "norm_num_groups": 2, "latent_channels": 4}
_LTX = {
    "latent_channels": 8,
    "block_out_channels": (8, 8, 8, 8),
    "layers_per_block": (1,) * 5,
    "patch_size": 1,
    "patch_size_t": 1,
}
_HUNYUAN = {"latent_channels": 4, "block_out_channels": (8, 8, 8, 8, 8), "layers_per_block": 1}
_WAN = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 1], "num_res_blocks": 1, "temperal_downsample": [True]}

KINDS: dict[str, Kind] = {
    "AsymmetricAutoencoderKL": Kind(
        (3, 3, 8, 8), {**_FLAT, "down_block_out_channels": (4, 4), "up_block_out_channels": (4, 4)}
    ),
    "AutoencoderKL": Kind((3, 3, 8, 8), {**_FLAT, "block_out_channels": (4, 4)}),
    "AutoencoderKLAllegro": Kind(
        (2, 3, 24, 16, 16),
        {
            **_blocks("AllegroDownBlock3D", "AllegroUpBlock3D", 4),
            "block_out_channels": (8, 8, 8, 8),
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "sample_size": 16,
        },
        lambda model: model.enable_tiling(),
    ),
    "AutoencoderKLCogVideoX": Kind(
        (3, 3, 8, 16, 16),
        {
            **_blocks("CogVideoXDownBlock3D", "CogVideoXUpBlock3D", 4),
            "block_out_channels": (8, 8, 8, 8),
            "latent_channels": 4,
            "layers_per_block": 1,
            "norm_num_groups": 2,
        },
    ),
    "AutoencoderKLFlux2": Kind((3, 3, 8, 8), {**_FLAT, "block_out_channels": (4, 4)}),
    "AutoencoderKLHunyuanImage": Kind(
        (3, 3, 64, 64),
        {
            **_HUNYUAN,
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 4,
            "block_out_channels": (32, 32),
            "spatial_compression_ratio": 2,
            "sample_size": 8,
        },
    ),
    "AutoencoderKLHunyuanImageRefiner": Kind((3, 3, 5, 16, 16), {**_HUNYUAN}),
    "AutoencoderKLHunyuanVideo": Kind(
        (3, 3, 5, 16, 16),
        {
            **_blocks("HunyuanVideoDownBlock3D", "HunyuanVideoUpBlock3D", 4),
            "latent_channels": 4,
            "block_out_channels": (8, 8, 8, 8),
            "layers_per_block": 1,
            "norm_num_groups": 4,
        },
    ),
    "AutoencoderKLHunyuanVideo15": Kind((3, 3, 5, 16, 16), {**_HUNYUAN}),
    "AutoencoderKLKVAE": Kind(
        (3, 3, 16, 16),
        {"channels": 32, "num_enc_blocks": 1, "num_dec_blocks": 1, "z_channels": 4, "ch_mult": (1, 2)},
    ),
    "AutoencoderKLKVAEAudio": Kind(
        (3, 1, 64),
        {
            "encoder_dim": 4,
            "encoder_rates": [2, 4],
            "latent_dim": 16,
            "codebook_dim": 4,
            "decoder_dim": 16,
            "decoder_rates": [4, 2],
            "attn_num_heads": 2,
        },
    ),
    "AutoencoderKLKVAEVideo": Kind(
        (3, 3, 3, 16, 16),
        {"ch": 32, "ch_mult": (1, 2), "num_res_blocks": 1, "z_channels": 4, "temporal_compress_times": 2},
    ),
    "AutoencoderKLLTXVideo": Kind(
        (3, 3, 9, 16, 16),
        {
            **_LTX,
            "decoder_block_out_channels": (8, 8, 8, 8),
            "decoder_layers_per_block": (1,) * 5,
            "spatio_temporal_scaling": (True, True, False, False),
            "decoder_spatio_temporal_scaling": (True, True, False, False),
            "decoder_inject_noise": (False,) * 5,
            "upsample_residual": (False,) * 4,
            "upsample_factor": (1,) * 4,
        },
    ),
    "AutoencoderKLLTX2Video": Kind(
        (3, 3, 9, 16, 16),
        {
            **_LTX,
            "decoder_block_out_channels": (16, 32, 64),
            "decoder_layers_per_block": (1,) * 4,
            "decoder_spatio_temporal_scaling": (True,) * 3,
            "decoder_inject_noise": (False,) * 4,
            "upsample_residual": (True,) * 3,
            "upsample_factor": (2,) * 3,
            "decoder_spatial_padding_mode": "zeros",
        },
    ),
    "AutoencoderKLLTX2Audio": Kind(
        (3, 2, 5, 16),
        {
            "in_channels": 2,
            "output_channels": 2,
            "latent_channels": 4,
            "base_channels": 8,
            "ch_mult": (1, 2, 2),
            "resolution": 16,
            "num_res_blocks": 1,
            "mel_bins": 16,
        },
    ),
    "AutoencoderKLMagvit": Kind(
        (3, 3, 5, 16, 16),
        {
            "latent_channels": 4,
            "block_out_channels": (8, 8, 8, 8),
            "down_block_types": ("SpatialDownBlock3D",) + ("SpatialTemporalDownBlock3D",) * 3,
            "up_block_types": ("SpatialUpBlock3D",) + ("SpatialTemporalUpBlock3D",) * 3,
            "layers_per_block": 1,
            "norm_num_groups": 8,
        },
    ),
    "AutoencoderKLMiniMaxH3": Kind(
        (3, 3, 22, 16, 16),
        {
            "latent_channels": 4,
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
            "spatial_downsample_factors": (2, 2),
            "temporal_downsample_factors": (2, 2),
            "norm_num_groups": 8,
            "decoder_num_layers": 1,
            "decoder_num_attention_heads": 2,
            "decoder_attention_head_dim": 8,
            "decoder_num_register_tokens": 2,
            "decoder_ffn_mult": 2,
            "latents_mean": (0.0,) * 4,
            "latents_std": (1.0,) * 4,
        },
    ),
    "AutoencoderKLMochi": Kind(
        (3, 3, 7, 16, 16),
        {
            "latent_channels": 4,
            "encoder_block_out_channels": (32,) * 4,
            "decoder_block_out_channels": (32,) * 4,
            "layers_per_block": (1,) * 5,
            "scaling_factor": 1,
        },
    ),
    "AutoencoderKLQwenImage": Kind((3, 3, 5, 16, 16), _WAN),
    "AutoencoderKLQwenImage21": Kind((3, 4, 1, 16, 16), {**_WAN, "decoder_base_dim": 4}),
    "AutoencoderKLTemporalDecoder": Kind(
        (3, 3, 8, 8), {"block_out_channels": (32,), "layers_per_block": 1, "latent_channels": 4}
    ),
    "AutoencoderKLWan": Kind((3, 3, 5, 16, 16), _WAN),
    "AutoencoderVidTok": Kind(
        (3, 3, 5, 16, 16), {"ch": 32, "ch_mult": [1, 1, 1, 1, 1], "num_res_blocks": 1, "z_channels": 4}
    ),
    "ConsistencyDecoderVAE": Kind(
        (3, 3, 16, 16),
        {
            "encoder_block_out_channels": (4, 4),
            "encoder_down_block_types": ("DownEncoderBlock2D",) * 2,
            "encoder_layers_per_block": 1,
            "encoder_norm_num_groups": 2,
            "decoder_block_out_channels": (4, 4),
            "decoder_down_block_types": ("ResnetDownsampleBlock2D",) * 2,
            "decoder_up_block_types": ("ResnetUpsampleBlock2D",) * 2,
            "decoder_layers_per_block": 1,
            "decoder_norm_num_groups": 2,
            "scaling_factor": 1,
        },
    ),
    "Kandinsky6SRVAE": Kind(
        (3, 3, 5, 16, 16),
        {
            "latent_channels": 4,
            "encoder_block_out_channels": (16, 16, 16),
            "decoder_block_out_channels": (16, 16, 16),
            "layers_per_block": 1,
        },
    ),
    "MMAudioVAE": Kind(
        (3, 512),
        {
            "mel_bins": 8,
            "latent_channels": 4,
            "hidden_channels": 32,
            "n_fft": 64,
            "hop_length": 16,
            "layers_per_block": 1,
        },
    ),
}


#: Those whose Gaussian is a class of their own.
OWN: dict[str, Kind] = {
    "AutoencoderKLMiniMaxH3Audio": Kind(
        (3, 1, 30),
        {
            "encoder_dim": 4,
            "encoder_rates": (2, 2),
            "latent_dim": 32,
            "latent_channels": 8,
            "num_attention_heads": 2,
            "decoder_dim": 16,
            "decoder_rates": (2, 2),
            "decoder_kernel_sizes": (4, 4),
            "resblock_kernel_sizes": (3, 7),
            "resblock_dilation_sizes": ((1, 3), (1, 3)),
            "latents_mean": [0.0] * 8,
            "latents_std": [1.0] * 8,
        },
    ),
    "AutoencoderOobleck": Kind(
        (3, 2, 32),
        {
            "encoder_hidden_size": 12,
            "decoder_channels": 12,
            "decoder_input_channels": 6,
            "downsampling_ratios": [2, 4],
            "channel_multiples": [1, 2],
        },
    ),
    "Cosmos3AVAEAudioTokenizer": Kind(
        (3, 2, 16),
        {
            "hop_size": 4,
            "enc_dim": 4,
            "enc_num_blocks": 1,
            "enc_n_fft": 8,
            "enc_hop_length": 2,
            "enc_latent_dim": 8,
            "enc_c_mults": (1,),
            "enc_strides": (2,),
            "vocoder_input_dim": 4,
            "dec_dim": 4,
            "dec_c_mults": (1, 2),
            "dec_strides": (2, 2),
        },
    ),
}


def tiny(name: str, seed: int = 0) -> nn.Module:
    """Return a random model of a class, in eval mode.

    Args:
        name: Of the class.
        seed: Of its weights.
    """
    torch.manual_seed(seed)
    kind = KINDS.get(name) or OWN[name]
    model: nn.Module = getattr(diffusers, name)(**kind.config).eval()
    kind.prepare(model)
    return model
