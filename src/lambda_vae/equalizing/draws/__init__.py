"""The draws of other people's VAEs: found, measured, and narrowed in place."""

from lambda_vae.equalizing.draws.inputs import InputPlace
from lambda_vae.equalizing.draws.masks import masked
from lambda_vae.equalizing.draws.places import MethodPlace, ModulePlace
from lambda_vae.equalizing.draws.rsample import RsamplePlace
from lambda_vae.equalizing.draws.site import DrawSite, Watcher

__all__ = ["DrawSite", "InputPlace", "MethodPlace", "ModulePlace", "RsamplePlace", "Watcher", "masked"]
