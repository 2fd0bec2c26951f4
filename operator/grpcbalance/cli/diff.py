"""`grpcbalance diff`: shows what the operator would do about a cluster, manifests, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import click

from grpcbalance.balancer import DEFAULT_SERVICE, Balancer
from grpcbalance.cli.kubeconfig import default_kubeconfig
from grpcbalance.cli.output import kubeconfig_options, output_option, show, style
from grpcbalance.diff.files import read
from grpcbalance.diff.manifests import ManifestError
from grpcbalance.diff.report import Report
from grpcbalance.diff.run import Wish, diff
from grpcbalance.diff.source import Nothing, SourceError
from grpcbalance.diff.text import render
from grpcbalance.settings import DEFAULT_DOMAIN, checked_domain, checked_xds_service

# Seconds of silence before it is said what takes so long.
_PATIENCE: Final = 2.0


class _DiffError(click.ClickException):
    """It could not be found out. As with diff and kubectl diff, 1 means that there is a difference."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class _Options:
    """What was asked for."""

    filename: tuple[str, ...]
    recursive: bool
    cluster: bool
    kubeconfig: str | None
    context: str | None
    namespace: str | None
    cluster_domain: str
    xds_service: str
    xds_fallback: str | None
    xds_credentials: str
    output: str

    @property
    def balancer(self) -> Balancer:
        """Where the look-aside balancer is, and how clients connect to it."""
        return Balancer.configured(self.xds_service, self.xds_fallback, self.xds_credentials, self.cluster_domain)


class _Progress:
    """Says on standard error what is being done, once it has taken a while."""

    def __init__(self) -> None:
        self._step, self._slow = "", False
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, step: str) -> None:
        self._step = step
        if self._slow:
            self._say()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._begin)

    def _begin(self) -> None:
        self._slow = True
        self._say()

    def _say(self) -> None:
        click.echo(f"{self._step} …", err=True)


def _checked(check: Callable[[str], str]) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    def callback(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        try:
            return None if value is None else check(value)
        except ValueError as error:
            raise click.BadParameter(str(error), param=parameter) from error

    return callback


@click.command("diff")
@click.option(
    "--filename",
    "-f",
    multiple=True,
    metavar="FILE_OR_FOLDER",
    help="Manifests to lay over what the cluster has; - is standard input. May stand several times.",
)
@click.option("--recursive", "-R", is_flag=True, help="Folders within folders, too.")
@click.option("--cluster/--no-cluster", default=True, show_default=True, help="Whether a cluster is asked.")
@kubeconfig_options
@click.option(
    "--namespace",
    "-n",
    help="Ask the cluster for this namespace only; manifests that name none are in it. By default all, and that of the "
    "context.",
)
@click.option(
    "--cluster-domain",
    default=DEFAULT_DOMAIN,
    show_default=True,
    callback=_checked(checked_domain),
    help="As the operator's own --cluster-domain.",
)
@click.option(
    "--xds-service",
    default=DEFAULT_SERVICE,
    show_default=True,
    callback=_checked(checked_xds_service),
    help="As the operator's own --xds-service.",
)
@click.option(
    "--xds-fallback",
    callback=_checked(checked_xds_service),
    help="As the operator's own --xds-fallback.",
)
@click.option(
    "--xds-credentials",
    type=click.Choice(["token", "plaintext"]),
    default="token",
    show_default=True,
    help="As the operator's own --xds-credentials.",
)
@output_option
@click.pass_context
def diff_command(context: click.Context, /, **values: Any) -> None:
    """Show what the operator would do, and do nothing.

    Services that it would make, change or retire; workloads that it would change, variable by variable, and the pods
    that this restarts; what it would refuse or leave waiting, and why.

    Exit status: 0 when nothing would be written, 1 when something would, more than 1 for an error.
    """
    options = _Options(**values)
    if not options.cluster and not options.filename:
        raise click.UsageError("--no-cluster needs manifests: add --filename")
    try:
        report = _report(options)
    except (ManifestError, SourceError) as error:
        raise _DiffError(str(error)) from error
    show(report, render(report, style), options.output)
    context.exit(1 if report.changed else 0)


def _report(options: _Options) -> Report:
    manifests = read(options.filename, recursive=options.recursive)
    now, forced = datetime.now(UTC), options.namespace is not None
    if not options.cluster:
        wish = Wish(manifests, options.namespace or "default", forced, options.balancer, with_cluster=False)
        return asyncio.run(diff(Nothing(), wish, now))
    # Late: `--help` and an unreadable manifest need no Kubernetes client.
    from grpcbalance.diff.cluster import ask, usual_namespace  # noqa: PLC0415

    kubeconfig, context = options.kubeconfig or default_kubeconfig(), options.context
    namespace = options.namespace or usual_namespace(kubeconfig, context)
    wish = Wish(manifests, namespace, forced, options.balancer, with_cluster=True)
    return asyncio.run(ask(kubeconfig, context, options.namespace, wish, now, _Progress()))
