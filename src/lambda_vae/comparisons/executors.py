"""The engines by name: where the runs of a comparison can be trained."""

from lambda_vae.checked import check_known
from lambda_vae.comparisons.executor import LOCAL, Engine
from lambda_vae.comparisons.ray_executor import RayEngine
from lambda_vae.errors import InputError

__all__ = ["engine_named"]


def engine_named(name: str, ray_address: str | None = None) -> Engine:
    """Return an engine, by its name on the command line; the address is that of a cluster, for the engine "ray" alone.

    Raises:
        InputError: An unknown name, or an address that is of no use.

    Example:
        >>> engine_named("local")
        LocalEngine()
    """
    check_known("engine", name, ("local", "ray"), "the engines are")
    if name == "ray":
        return RayEngine(ray_address)
    if ray_address is not None:
        raise InputError(f"`ray_address={ray_address}` is for `engine=ray`; add that, or leave it out")
    return LOCAL
