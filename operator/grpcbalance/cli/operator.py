"""`grpcbalance operator`: runs the operator. Each field of `Settings` is a flag and an environment variable."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from grpcbalance.settings import DEFAULT_DOMAIN, Settings, cluster_domain

F = TypeVar("F", bound=Callable[..., Any])

PREFIX: Final = "GRPCBALANCE_"
# Their defaults are found when the command runs, or are no value at all; the help of each tells.
_FOUND: Final = frozenset({"namespace", "cluster_domain", "kubeconfig"})


def variable(name: str) -> str:
    """Environment variable of a setting."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """Flag of a setting."""
    return "--" + name.replace("_", "-")


def options(function: F) -> F:
    """Give a command one option for each setting, in their order."""
    for item in reversed(dataclasses.fields(Settings)):
        found = item.name in _FOUND
        # Without a value it means yes.
        bare: dict[str, Any] = {"is_flag": False, "flag_value": True} if isinstance(item.default, bool) else {}
        # kubectl's own variable is honoured, too.
        names = [variable(item.name), *(["KUBECONFIG"] if item.name == "kubeconfig" else [])]
        function = click.option(
            flag(item.name),
            item.name,
            type=_type(item),
            **bare,
            default=None if found else item.default,
            show_default=not found,
            envvar=names,
            show_envvar=True,
            help=item.metadata["help"],
        )(function)
    return function


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


def _leave(*_: object) -> None:
    """SIGTERM before anything has begun."""
    sys.exit(0)


@click.command(name="operator")
@options
@click.pass_context
def operator_command(context: click.Context, /, **values: Any) -> None:
    """Run the operator: watch the cluster and balance its gRPC services.

    Inside of a cluster nothing needs to be set. It stops on SIGTERM, within ten seconds, with status 0; it ends
    with another status when it cannot go on, and is meant to be started again then.
    """
    found = values["cluster_domain"] or cluster_domain()
    values["cluster_domain"] = found or DEFAULT_DOMAIN
    try:
        settings = Settings(**values)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    # Process 1 of a container ignores signals that it does not handle, and what follows takes a second.
    signal.signal(signal.SIGTERM, _leave)
    # Late: the other commands must not pay for kopf and the client.
    from grpcbalance.main import run  # noqa: PLC0415

    context.exit(run(settings, domain_assumed=found is None))
