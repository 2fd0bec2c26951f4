"""`grpcbalance crd`: prints the CustomResourceDefinition as YAML. It reads no file and asks no cluster."""

from __future__ import annotations

from typing import Final

import click
import yaml

from grpcbalance.crd import custom_resource_definition

HEADER: Final = "# Generated from operator/grpcbalance/api; do not edit. Change the types there, then: make crd\n"


class _Plain(yaml.SafeDumper):
    """Writes every node out: an alias for one that stands twice would only puzzle who reads the file."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def crd_text() -> str:
    """The committed form of the CustomResourceDefinition: header and YAML."""
    body: str = yaml.dump(
        custom_resource_definition(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000
    )
    return HEADER + body


@click.command("crd")
def crd_command() -> None:
    """Print the CustomResourceDefinition, for kubectl apply -f -."""
    click.echo(crd_text(), nl=False)
