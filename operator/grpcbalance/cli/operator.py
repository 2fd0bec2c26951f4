"""`grpcbalance operator`: runs the operator. Each field of `Settings` is a flag and an environment variable."""

from __future__ import annotations

from typing import Any, Final

import click

from grpcbalance.cli.early import end_on_sigterm
from grpcbalance.cli.settings import options
from grpcbalance.settings import DEFAULT_DOMAIN, Settings, cluster_domain

# Their defaults are found when the command runs, or are no value at all; the help of each tells.
_FOUND: Final = frozenset({"namespace", "cluster_domain", "kubeconfig"})


@click.command(name="operator")
@options(Settings, _FOUND)
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
    # What follows takes a second.
    end_on_sigterm()
    # Late: the other commands must not pay for kopf and the client.
    from grpcbalance.main import run  # noqa: PLC0415

    context.exit(run(settings, domain_assumed=found is None))
