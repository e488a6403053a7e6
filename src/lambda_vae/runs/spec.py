"""A method with settings of its own in one word, such as "lambda-vae:delta=1.01,release_epochs=50"."""

from contextlib import suppress
from dataclasses import replace
from typing import Any, get_type_hints

import yaml

from lambda_vae.checked import fits, kind, nearest
from lambda_vae.errors import InputError
from lambda_vae.runs.compose import method_named
from lambda_vae.runs.config import RunConfig
from lambda_vae.runs.method import Method

__all__ = ["configured"]


def configured(base: RunConfig, spec: str) -> tuple[RunConfig, frozenset[str]]:
    """Return the run that a spec makes of a base, and the settings that the spec fixes.

    Args:
        base: What all runs share.
        spec: "name", or "name:setting=value,setting=value".

    Raises:
        InputError: Unknown method or setting, or a value of the wrong kind.

    Example:
        >>> configured(RunConfig(), "beta-vae:beta=4")[0].beta
        4
    """
    name, _, assignments = spec.partition(":")
    method = method_named(name)
    values: dict[str, Any] = {}
    for assignment in filter(None, assignments.split(",")):
        setting, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"method {spec!r}: {assignment!r} is not of the form setting=value")
        values[setting] = _value(method, setting, text, spec)
    return replace(base, method=method.name, **values), frozenset(values)


def _value(method: Method, setting: str, text: str, spec: str) -> Any:  # noqa: ANN401 - any field's value
    if not method.uses(setting):
        has = f"its settings are {', '.join(method.settings)}" if method.settings else "it has none"
        raise InputError(
            f"method {spec!r}: {method.name} has no setting {setting!r}{nearest(setting, method.settings)}; {has}"
        )
    hint = get_type_hints(RunConfig)[setting]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if isinstance(value, str) and fits(0.5, hint):  # YAML takes 1e-3 and inf for text
        with suppress(ValueError):
            value = float(value)
    if not fits(value, hint):
        raise InputError(f"method {spec!r}: {setting} is {text!r}; it must be {kind(hint)}")
    return value
