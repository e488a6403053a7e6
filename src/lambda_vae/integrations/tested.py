"""The packages of the integrations: the versions they were tested with, and the import of their objects."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lambda_vae.errors import InputError

__all__ = ["HOSTS", "HostPackage", "needed"]


@dataclass(frozen=True)
class HostPackage:
    """A package, by its name on PyPI, and the versions that its integration's tests passed with, the newest last."""

    package: str
    versions: tuple[str, ...]


#: By the name of the integration, which is that of the extra and of the page in the documentation.
HOSTS: Mapping[str, HostPackage] = {
    "ctgan": HostPackage("ctgan", ("0.12.0", "0.12.1")),
    "cornac": HostPackage("cornac", ("3.0.1",)),
    "recbole": HostPackage("recbole", ("1.2.1",)),
    "pyod": HostPackage("pyod", ("3.6.7",)),
    "mlcolvar": HostPackage("mlcolvar", ("1.3.1",)),
    "pyg": HostPackage("torch-geometric", ("2.8.1",)),
    "monai": HostPackage("monai", ("1.6.1",)),
    "disent": HostPackage("disent", ("0.9.3",)),
    "multivae": HostPackage("multivae", ("1.0.3",)),
    "ctm": HostPackage("contextualized-topic-models", ("2.6.1",)),
    "torchrl": HostPackage("torchrl", ("0.14.1",)),
    "lerobot": HostPackage("lerobot", ("0.6.1",)),
    "pythae": HostPackage("pythae", ("0.1.2",)),
    "scvi": HostPackage("scvi-tools", ("1.4.2", "1.5.1")),
    "diffusers": HostPackage("diffusers", ("0.42.1",)),
    "lightning": HostPackage("lightning", ("2.6.6",)),
    "pyro": HostPackage("pyro-ppl", ("1.9.2",)),
    "torchmetrics": HostPackage("torchmetrics", ("1.9.0",)),
}


def needed(host: str, *names: str) -> list[Any]:
    """Return objects of a package; warn of another version than the tested ones.

    To be called within functions, so that an integration's module can be imported without the package.

    Args:
        host: The integration's name.
        names: Of each object, with its module: "ctgan.synthesizers.tvae.Encoder".

    Raises:
        InputError: The package, or one of the names, is missing.
    """
    tested = HOSTS[host]
    said = f"tested with {' and '.join(tested.versions)}"
    try:
        found = version(tested.package)
    except PackageNotFoundError:
        remedy = f"pip install 'lambda-vae[{host}]'"
        raise InputError(f"{tested.package} is not installed; {remedy} ({said})") from None
    if found.split("+")[0] not in tested.versions:
        warnings.warn(
            f"{tested.package} {found} is installed, and lambda_vae.integrations.{host} was {said}; it is used all "
            "the same, as far as it has the names that are needed",
            stacklevel=3,
        )
    return [_imported(name, f"{tested.package} {found}", f"{tested.package}=={tested.versions[-1]}") for name in names]


def _imported(name: str, package: str, remedy: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        missing = f"{error.name} (for {name})" if isinstance(error, ModuleNotFoundError) and error.name else name
        raise InputError(
            f"{package} has no {missing}; pip install '{remedy}', which the adapter was tested with"
        ) from None
