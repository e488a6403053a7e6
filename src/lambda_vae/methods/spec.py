"""Methods in text, such as "lambda-vae:delta=1.19+warm-up:epochs=50" or "mypackage:Capped", and as plain data."""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

import yaml

from lambda_vae.checked import fits, kind, nearest, plain_number
from lambda_vae.errors import InputError
from lambda_vae.methods.base import METHODS, Method, composed, without

__all__ = [
    "check_importable",
    "from_data",
    "method_named",
    "method_settings",
    "own_modules",
    "parse",
    "reference",
    "text_of",
    "to_data",
    "typed",
]

#: Between the methods of a composition, whose names begin with a letter: 1e+3 is one number.
_PLUS = re.compile(r"\+(?=[A-Za-z_])")
#: Between settings; the entries of a list belong together.
_COMMA = re.compile(r",(?![^\[]*\])")
_OWN = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)(?::(.*))?", re.DOTALL)


@cache
def method_settings() -> dict[str, Any]:
    """Return the type of every setting of a method of this package, by its name in records."""
    return {
        one.record: get_type_hints(type(method))[one.name]
        for method in METHODS.values()
        for one in method.each_setting()
    }


def method_named(text: str) -> Method:
    """Return the method that a text describes.

    Args:
        text: A name in `METHODS`, or package:Class of a method of your own, each with settings behind a colon if need
            be; several of these joined by "+".

    Raises:
        InputError: An unknown method or setting, a value of the wrong kind, or methods that do not fit together.

    Example:
        >>> method_named("warm-up:epochs=50+lambda-vae:delta=1.19").label
        'λ-VAE + warm-up δ=1.19 over 50 epochs'
    """
    return parse(text)[0]


def parse(text: str) -> tuple[Method, frozenset[str]]:
    """Return the method that a text describes, and the settings that the text gives, by their names in records.

    Settings behind the last name alone are those of the whole composition: each method takes the ones it has.

    Args:
        text: As for `method_named`.

    Raises:
        InputError: As `method_named`.
    """
    pairs = [_named(part, text) for part in _PLUS.split(text)]
    methods = [method for method, _ in pairs]
    *early, (_, last) = pairs
    if early and last and not any(given for _, given in early):
        whole = composed(methods)
        values = _values(whole, last, text)
        return whole.with_settings(**values), _records(whole, values)
    each = [_values(method, given, text) for method, given in pairs]
    made = [method.with_settings(**values) for method, values in zip(methods, each, strict=True)]
    given = [_records(method, values) for method, values in zip(methods, each, strict=True)]
    return composed(made), frozenset().union(*given)


def _records(method: Method, values: Mapping[str, Any]) -> frozenset[str]:
    """Their names in records."""
    named = {
        name: one.record for part in method.parts for one in part.each_setting() for name in (one.name, one.record)
    }
    return frozenset(named[name] for name in values)


def _named(part: str, text: str) -> tuple[Method, dict[str, str]]:
    """One method of a composition with its default settings, and the settings that stand behind it, as text."""
    name, _, rest = part.partition(":")
    if name in METHODS:
        method = METHODS[name]
    elif own := _OWN.fullmatch(part):
        method, rest = _imported(own[1], own[2]), own[3] or ""
    else:
        module, dot, class_name = name.rpartition(".")
        near = f" (did you mean '{module}:{class_name}'?)" if dot else nearest(name, METHODS)
        raise InputError(
            f"unknown method {name!r}{near}; the methods are {', '.join(METHODS)}, or package:Class of your own"
        )
    given = {}
    for assignment in filter(None, _COMMA.split(rest)):
        setting, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"method {text!r}: {assignment!r} is not of the form setting=value")
        given[setting] = value
    return method, given


def _imported(module_name: str, class_name: str) -> Method:
    """A user's own method; its module is looked for as `python -m` would, in the current folder first."""
    where, here = f"{module_name}:{class_name}", os.getcwd()
    module = sys.modules.get(module_name)
    if module is None:
        sys.path.insert(0, here)
        try:
            module = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise  # something that the user's module itself imports
            raise InputError(
                f"method {where!r}: there is no module {error.name!r} in {here} or among the installed packages; go to "
                "the folder that holds it, or install it"
            ) from None
        finally:
            sys.path.remove(here)
    own = {name: one for name, one in vars(module).items() if isinstance(one, type) and issubclass(one, Method)}
    if class_name not in own:
        near = nearest(class_name, own.keys() - {"Method"})
        raise InputError(f"{where} is no subclass of lambda_vae.methods.Method{near}; give one")
    try:
        return own[class_name]()
    except TypeError as error:
        raise InputError(f"{where} cannot be made ({error}); give each of its settings a default") from None


def own_modules(text: str) -> tuple[str, ...]:
    """Return the modules that a text would import for methods that are not of this package.

    Args:
        text: As for `method_named`.
    """
    parts = [part for part in _PLUS.split(text) if part.partition(":")[0] not in METHODS]
    return tuple(own[1] for part in parts if (own := _OWN.fullmatch(part)))


def _values(method: Method, given: Mapping[str, str], text: str) -> dict[str, Any]:
    return {setting: _value(method, setting, value, text) for setting, value in given.items()}


def _hint(method: Method, setting: str) -> Any:  # noqa: ANN401 - any type hint
    """The type of a setting; None where the method has no such one."""
    for part in method.parts:
        for one in part.each_setting():
            if setting in (one.name, one.record):
                return get_type_hints(type(part))[one.name]
    return None


def _value(method: Method, setting: str, text: str, spec: str) -> Any:  # noqa: ANN401 - any setting's value
    hint = _hint(method, setting)
    if hint is None:
        raise InputError(f"method {spec!r}: {method.name} {without(method, setting)}")
    try:
        value = text if hint is str else yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if isinstance(value, str) and fits(0.5, hint):  # YAML takes 1e-3 and inf for text
        with suppress(ValueError):
            value = float(value)
    return typed(value, hint, f"method {spec!r}: {setting} is {text!r}")


def typed(value: Any, hint: Any, what: str) -> Any:  # noqa: ANN401 - any setting's value
    """Return a value from outside, a list as a tuple.

    Args:
        value: As YAML or JSON has it.
        hint: Its type.
        what: Begins the sentence about a value of another type.

    Raises:
        InputError: It is of another type.
    """
    if not fits(value, hint):
        raise InputError(f"{what}; it must be {kind(hint)}")
    return tuple(value) if isinstance(value, list) else value


def reference(method: Method) -> str:
    """Return the name that stands for a method in text: that of the table, or package:Class.

    Args:
        method: One method, no composition.

    Raises:
        InputError: Its class is defined inside a function.
    """
    own = type(method)
    if own.__module__.startswith("lambda_vae.methods."):
        return method.name
    if "<locals>" in own.__qualname__:
        raise InputError(
            f"the method {own.__name__} is defined inside a function, where nothing that reads the run finds it again; "
            "define it in a module"
        )
    return f"{own.__module__}:{own.__qualname__}"


def check_importable(method: Method) -> None:
    """Raise unless other processes find the classes of a method by their names.

    Args:
        method: Any.

    Raises:
        InputError: One is defined in a script or a notebook.
    """
    for part in method.parts:
        if reference(part).startswith("__main__:"):
            raise InputError(
                f"the method {type(part).__name__} is defined where other processes do not find it; put it into a "
                "module of its own and import it"
            )


def text_of(method: Method) -> str:
    """Return the text that stands for a method, with every setting that is not its default.

    Args:
        method: Any.

    Example:
        >>> from lambda_vae.methods import BetaVAE, LambdaVAE
        >>> text_of(BetaVAE(beta=0.5) + LambdaVAE(delta=1.19))
        'lambda-vae:delta=1.19+beta-vae:beta=0.5'
    """
    shared = [key.partition(".")[2] for key in method.values if "." in key]
    written = []
    for part in method.parts:
        # What several methods share is spelt out, for behind the last name alone it would be that of all.
        own = [one for one in part.each_setting() if one.shown or one.record in shared]
        values = ",".join(f"{one.name}={_written(one.value)}" for one in own)
        written.append(reference(part) + (f":{values}" if values else ""))
    return "+".join(written)


def _written(value: Any) -> str:  # noqa: ANN401 - any setting's value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple):
        return f"[{','.join(map(_written, value))}]"
    # 1 and 1.0 are one setting, and so have one text.
    return plain_number(value) if isinstance(value, float) else str(value)


def to_data(method: Method) -> dict[str, dict[str, Any]]:
    """Return a method as plain data: the settings of each of its parts, all of them, by name.

    Args:
        method: Any.
    """
    return {reference(part): {one.name: one.value for one in part.each_setting()} for part in method.parts}


def from_data(values: Any, where: str = "") -> Method:  # noqa: ANN401 - from outside
    """Return the method that plain data describes.

    Args:
        values: Text, or as from `to_data`; a setting that is absent keeps its default.
        where: What messages begin with.

    Raises:
        InputError: As `method_named`.
    """
    if isinstance(values, str):
        return method_named(values)
    if not isinstance(values, Mapping) or not values:
        raise InputError(f"{where}method is {values!r}; it must be a name, or names with their settings")
    parts = []
    for name, given in values.items():
        method, _ = parse(str(name))
        settings = {} if given is None else given
        if not isinstance(settings, Mapping):
            raise InputError(f"{where}{name} is {given!r}; it must be a mapping of its settings")
        for setting, value in settings.items():
            hint = _hint(method, str(setting))
            if hint is None:
                raise InputError(f"{where}{method.name} {without(method, str(setting))}")
            method = method.with_settings(**{str(setting): typed(value, hint, f"{where}{setting} is {value!r}")})
        parts.append(method)
    return composed(parts)
