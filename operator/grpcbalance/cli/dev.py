"""`grpcbalance dev`: tools for a developer's machine. `dev dns` is a DNS server, so that balancing works there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from grpcbalance.cli.kubeconfig import default_kubeconfig
from grpcbalance.devdns.configs import canonical
from grpcbalance.devdns.hosts import LONGEST_DOMAIN, NAME, SourceError
from grpcbalance.devdns.report import Json, Text
from grpcbalance.devdns.run import run
from grpcbalance.devdns.server import Listen
from grpcbalance.devdns.source import NamesFile, Source
from grpcbalance.service_config import ServiceConfigError
from grpcbalance.settings import DEFAULT_DOMAIN


@dataclass(frozen=True, slots=True)
class _Options:
    """What was asked for."""

    names_file: Path | None
    from_cluster: bool
    namespace: str | None
    kubeconfig: str | None
    listen: tuple[Listen, ...]
    cluster_domain: str
    txt_service_config: str | None
    output: str


def _listen(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Listen, ...]:
    return tuple(_one_listen(parameter, value) for value in values)


def _one_listen(parameter: click.Parameter, value: str) -> Listen:
    host, _, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    try:
        brackets = ip_address(bare).version == 6
    except ValueError:
        brackets = None
    if brackets is None or (host != bare) != brackets or not port.isdecimal() or int(port) > 65_535:
        message = f"{value!r} must be IP:PORT, such as 127.0.0.1:1053 or [::1]:1053"
        raise click.BadParameter(message, param=parameter)
    return Listen(bare, int(port))


def _domain(_: click.Context, parameter: click.Parameter, value: str) -> str:
    domain = value.lower().removesuffix(".")
    if len(domain) > LONGEST_DOMAIN or not NAME.fullmatch(domain):
        raise click.BadParameter(f"must be a DNS name, at most {LONGEST_DOMAIN} long", param=parameter)
    return domain


def _service_config(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return value and canonical(value)
    except ServiceConfigError as error:
        raise click.BadParameter(str(error), param=parameter) from error


@click.group("dev")
def dev_command() -> None:
    """Tools for a developer's machine; nothing here is for production."""


@dev_command.command("dns")
@click.argument("names_file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--from-cluster", is_flag=True, help="Names of a cluster's Services instead of those of a file.")
@click.option("--namespace", "-n", help="With --from-cluster: only this namespace. By default all.")
@click.option(
    "--kubeconfig",
    envvar="KUBECONFIG",
    show_envvar=True,
    help="With --from-cluster: its current context. By default ~/.kube/config, and in a pod the service account.",
)
@click.option(
    "--listen",
    multiple=True,
    default=("127.0.0.1:1053",),
    show_default=True,
    callback=_listen,
    metavar="IP:PORT",
    help="Where to listen, UDP and TCP. May stand several times.",
)
@click.option(
    "--cluster-domain",
    default=DEFAULT_DOMAIN,
    show_default=True,
    callback=_domain,
    help="Every name below it that is not known does not exist; names outside are known or refused.",
)
@click.option(
    "--txt-service-config",
    callback=_service_config,
    metavar="JSON",
    help="Service config that names without one of their own tell in a TXT record.",
)
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Text on standard error, or one JSON object a line on standard output.",
)
def dns_command(**values: Any) -> None:
    """Answer DNS queries as a cluster's DNS would, from NAMES_FILE or from a cluster.

    NAMES_FILE is YAML: NAME: {addresses: [127.0.0.1, 127.0.0.2], ports: {grpc: 5000}}. It is read again when it
    changes. Clients get the server's address in their target: dns://127.0.0.1:1053/NAME:PORT.
    """
    options = _Options(**values)
    if options.from_cluster == (options.names_file is not None):
        raise click.UsageError("give either NAMES_FILE or --from-cluster")
    if options.namespace and not options.from_cluster:
        raise click.UsageError("--namespace is for --from-cluster")
    source, name = _source(options)
    report = Json() if options.output == "json" else Text()
    try:
        asyncio.run(run(options.listen, source, name, options.cluster_domain, report))
    except SourceError as error:
        raise click.ClickException(str(error)) from error


def _source(options: _Options) -> tuple[Source, str]:
    if options.names_file is not None:
        return NamesFile(options.names_file, options.txt_service_config), str(options.names_file)
    # Late: a names file needs no Kubernetes client.
    from grpcbalance.devdns.cluster import Cluster  # noqa: PLC0415
    from grpcbalance.devdns.services import Mirror  # noqa: PLC0415

    mirror = Mirror(options.cluster_domain, options.txt_service_config)
    return Cluster(options.kubeconfig or default_kubeconfig(), options.namespace, mirror), "the cluster"
