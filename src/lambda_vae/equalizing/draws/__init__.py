"""The draws of z in external models: found, measured and narrowed."""

from lambda_vae.equalizing.draws.hooks import MethodHook, ModuleHook
from lambda_vae.equalizing.draws.inputs import InputHook
from lambda_vae.equalizing.draws.masks import masked
from lambda_vae.equalizing.draws.rsample import RsampleHook
from lambda_vae.equalizing.draws.site import DrawSite, Watcher

__all__ = ["DrawSite", "InputHook", "MethodHook", "ModuleHook", "RsampleHook", "Watcher", "masked"]
