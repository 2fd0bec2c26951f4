"""`grpcbalance xds`: runs the look-aside balancer. Each field of `XdsSettings` is a flag and a variable."""

from __future__ import annotations

from typing import Any, Final

import click

from grpcbalance.cli.early import end_on_sigterm
from grpcbalance.cli.settings import options
from grpcbalance.xds.settings import XdsSettings

PREFIX: Final = "GRPCBALANCE_XDS_"
_NONE: Final = frozenset({"namespace", "plaintext_address", "tls_address", "mtls_address", "kubeconfig"})


@click.command(name="xds")
@options(XdsSettings, _NONE, PREFIX)
@click.pass_context
def xds_command(context: click.Context, /, **values: Any) -> None:
    """Run the look-aside balancer: tell gRPC clients over xDS which endpoints there are, as soon as they change.

    Inside of a cluster nothing needs to be set. It stops on SIGTERM with status 0, and clients go on with what they
    know; it ends with another status when it cannot go on, and is meant to be started again then.
    """
    try:
        settings = XdsSettings(**values)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    # What follows takes a second.
    end_on_sigterm()
    # Late: --help must not pay for gRPC and the client.
    from grpcbalance.xds.main import run  # noqa: PLC0415

    context.exit(run(settings))
