"""`grpcbalance status`: shows how objects stand, and what to do about those that do not stand well."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from grpcbalance.cli.kubeconfig import default_kubeconfig
from grpcbalance.cli.output import kubeconfig_options, output_option, show, style
from grpcbalance.diff.source import SourceError
from grpcbalance.overview.report import Report
from grpcbalance.overview.text import render
from grpcbalance.settings import Settings, checked_xds_service


class _StatusError(click.ClickException):
    """It could not be looked. 1 means that something is not Ready."""

    exit_code = 2


def _service(_: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return checked_xds_service(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from error


@click.command("status")
@click.argument("name", required=False)
@click.option("--namespace", "-n", help="Namespace to look at. By default that of the context.")
@click.option("--all-namespaces", "-A", is_flag=True, help="Look at all namespaces.")
@kubeconfig_options
@click.option(
    "--xds-service",
    default=Settings().xds_service,
    show_default=True,
    callback=_service,
    help="As the operator's own --xds-service.",
)
@output_option
@click.pass_context
def status_command(context: click.Context, /, **values: Any) -> None:
    """Show how GrpcBalancedServices stand: one, or all of a namespace.

    Whether each is Ready and why not, where clients are pointed, endpoints, workloads with trouble and the fix; with
    discovery XDS also who is connected to the look-aside balancer, for whoever may read that (get pods/proxy there).

    Exit status: 0 when all are Ready, 1 when something is not, 2 when it could not be looked.
    """
    if values["all_namespaces"] and (values["namespace"] or values["name"]):
        raise click.UsageError("--all-namespaces is about all of them: leave NAME and --namespace out")
    report = _report(values)
    show(report, render(report, style), values["output"])
    context.exit(0 if report.ready else 1)


def _report(values: dict[str, Any]) -> Report:
    # Late: `--help` needs no Kubernetes client.
    from grpcbalance.diff.cluster import usual_namespace  # noqa: PLC0415
    from grpcbalance.overview.cluster import OverviewError, Question, ask  # noqa: PLC0415

    kubeconfig, context = values["kubeconfig"] or default_kubeconfig(), values["context"]
    balancer = values["xds_service"].partition(".")[2]
    try:
        usual = usual_namespace(kubeconfig, context)
        namespace = None if values["all_namespaces"] else values["namespace"] or usual
        return asyncio.run(ask(kubeconfig, context, Question(namespace, values["name"], balancer)))
    except (OverviewError, SourceError) as error:
        raise _StatusError(str(error)) from error
