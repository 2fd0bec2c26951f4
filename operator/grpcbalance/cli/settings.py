"""Makes a flag and an environment variable of each field of a settings dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PREFIX: Final = "GRPCBALANCE_"


def variable(name: str, prefix: str = PREFIX) -> str:
    """Environment variable of a setting."""
    return prefix + name.upper()


def flag(name: str) -> str:
    """Flag of a setting."""
    return "--" + name.replace("_", "-")


def options(settings: type, found: frozenset[str], prefix: str = PREFIX) -> Callable[[F], F]:
    """Give a command one option for each setting, in their order.

    `found`: settings whose defaults are found when the command runs, or are no value at all; the help of each tells.
    """

    def decorate(function: F) -> F:
        for item in reversed(dataclasses.fields(settings)):
            # Without a value it means yes.
            bare: dict[str, Any] = {"is_flag": False, "flag_value": True} if isinstance(item.default, bool) else {}
            # kubectl's own variable is honoured, too.
            names = [variable(item.name, prefix), *(["KUBECONFIG"] if item.name == "kubeconfig" else [])]
            function = click.option(
                flag(item.name),
                item.name,
                type=_type(item),
                **bare,
                default=None if item.name in found else item.default,
                show_default=item.name not in found,
                envvar=names,
                show_envvar=True,
                help=item.metadata["help"],
            )(function)
        return function

    return decorate


def _type(item: dataclasses.Field[Any]) -> click.ParamType[Any]:
    bounds = item.metadata
    if "choices" in bounds:
        return click.Choice(bounds["choices"])
    if isinstance(item.default, bool):
        return click.BOOL
    if isinstance(item.default, int):
        return click.IntRange(bounds["low"], bounds["high"])
    if isinstance(item.default, float):
        return click.FloatRange(bounds["low"], bounds["high"])
    if item.name == "kubeconfig":
        return click.Path(exists=True, dir_okay=False)
    return click.STRING
