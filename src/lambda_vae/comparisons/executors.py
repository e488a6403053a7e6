"""The engines by name: where the runs of a comparison can be trained."""

from collections.abc import Callable

from lambda_vae.checked import check_known
from lambda_vae.comparisons.executor import LOCAL, Engine
from lambda_vae.comparisons.ray_executor import RayEngine
from lambda_vae.errors import InputError

__all__ = ["ENGINES", "engine_named"]


def _local(ray_address: str | None) -> Engine:
    if ray_address is not None:
        raise InputError(f"`ray_address={ray_address}` is for `engine=ray`; add that, or leave it out")
    return LOCAL


#: Every engine by its name on the command line, made from the address of a Ray cluster, if one was given.
ENGINES: dict[str, Callable[[str | None], Engine]] = {"local": _local, "ray": RayEngine}


def engine_named(name: str, ray_address: str | None = None) -> Engine:
    """Return an engine.

    Raises:
        InputError: An unknown name, or an address that is of no use.

    Example:
        >>> engine_named("local")
        LocalEngine()
    """
    check_known("engine", name, ENGINES, "the engines are")
    return ENGINES[name](ray_address)
