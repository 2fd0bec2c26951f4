"""What commands that look at a cluster have in common: which one it is, and the formats of what they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
import yaml
from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., Any])


def kubeconfig_options(function: F) -> F:
    """Give a command --kubeconfig and --context."""
    context = click.option("--context", help="Context of the kubeconfig. By default its current one.")
    return click.option(
        "--kubeconfig",
        envvar="KUBECONFIG",
        show_envvar=True,
        help="By default ~/.kube/config, and in a pod the service account.",
    )(context(function))


def output_option(function: F) -> F:
    """Give a command --output."""
    formats = click.Choice(["text", "json", "yaml"])
    return click.option("--output", "-o", type=formats, default="text", show_default=True, help="Format.")(function)


def show(report: BaseModel, lines: Iterable[str], output: str) -> None:
    """Print a report as `lines` say it, or whole as JSON or YAML."""
    if output == "text":
        for line in lines:
            click.echo(line)
        return
    content = report.model_dump(mode="json", by_alias=True)
    if output == "json":
        click.echo(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        click.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000), nl=False)


def style(text: str, colour: str | None) -> str:
    """Text in a colour, or (None) bold; click.echo takes that out again where no terminal reads."""
    return click.style(text, fg=colour) if colour else click.style(text, bold=True)
