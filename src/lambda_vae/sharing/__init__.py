"""Sharing: a run as a folder to hand on, on the hub, or as a programme for other runtimes."""

from lambda_vae.sharing.export import export_run
from lambda_vae.sharing.hub import push_to_hub
from lambda_vae.sharing.share import SharedModel, from_pretrained, share_run

__all__ = ["SharedModel", "export_run", "from_pretrained", "push_to_hub", "share_run"]
