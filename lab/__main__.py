"""A whole Kubernetes cluster on this machine: build it, use it, and nothing of it stays."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from . import cache, doctor, images, install, namespaces, parts, preflight, progress
from .cluster import Lab
from .model import LabError


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Command line of the lab."""


def _nodes(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option("--nodes", default=1, show_default=True, type=click.IntRange(1, 9), help="Number of nodes.")
    return option(command)


def _keep(command: Callable[..., Any]) -> Callable[..., Any]:
    text = "Folder for logs, audit log and objects if it fails."
    return click.option("--keep", type=click.Path(path_type=Path), help=text)(command)


def _examples(command: Callable[..., Any]) -> Callable[..., Any]:
    text = "With the examples of all languages, not of Go only."
    return click.option("--all-examples", is_flag=True, help=text)(command)


@main.command()
@_examples
def build(all_examples: bool) -> None:
    """Build the cluster's programs and the project's images, unless they are in the cache."""
    _build(all_examples)
    progress.say(f"everything is built, in {cache.root()}")


@main.command("images")
@_examples
def images_(all_examples: bool) -> None:
    """Build the images of the operator and of the Go example, and print where they are."""
    preflight.check_host()
    for archive in _images(all_examples):
        click.echo(archive)


@main.command()
@_nodes
@_keep
@_examples
def shell(nodes: int, keep: Path | None, all_examples: bool) -> None:
    """Start a cluster and a shell in which `kubectl` talks to it; `exit` removes it.

    The images of the operator and of the Go example are in it: `kubectl apply -k manifests` installs the operator.
    """
    _enter(all_examples)
    _start_and_run([os.environ.get("SHELL", "/bin/sh")], nodes, keep, all_examples)


@main.command("exec", context_settings={"ignore_unknown_options": True})
@_nodes
@_keep
@_examples
@click.option("--no-cluster", is_flag=True, help="Only enter the private namespaces: CMD starts its own labs.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD...")
def exec_(nodes: int, keep: Path | None, all_examples: bool, no_cluster: bool, command: tuple[str, ...]) -> None:
    """Start a cluster, run CMD in it with KUBECONFIG set, and exit with its exit code.

    What CMD opens with open_cluster() is that cluster. The same images are in it as with `shell`.
    """
    _enter(all_examples)
    if no_cluster:
        sys.exit(namespaces.run(list(command), os.environ))
    _start_and_run(list(command), nodes, keep, all_examples)


@main.command("doctor")
def doctor_() -> None:
    """Say what this machine lacks; exit code 1 if anything."""
    findings = doctor.examine()
    console = Console()
    for finding in findings:
        mark = "[green]ok[/green]     " if finding.fix is None else "[red]missing[/red]"
        text = finding.what + (f": {finding.fix}" if finding.fix else "")
        console.print(f"{mark} {text}", highlight=False, soft_wrap=True)
    sys.exit(any(finding.fix is not None for finding in findings))


def _build(all_examples: bool) -> None:
    preflight.check_host()
    preflight.ensure(preflight.NODE_PROGRAMS)
    parts.build()
    _images(all_examples)


def _images(all_examples: bool) -> list[Path]:
    """Images of the project."""
    return list(install.image_archives(_languages(all_examples)))


def _languages(all_examples: bool) -> tuple[str, ...]:
    return tuple(images.LANGUAGES) if all_examples else ("go",)


def _enter(all_examples: bool) -> None:
    """Build what needs the network, then leave it."""
    if not namespaces.is_private():
        _build(all_examples)
    namespaces.enter_private()


def _start_and_run(command: list[str], nodes: int, keep: Path | None, all_examples: bool) -> None:
    with Lab(nodes, keep=keep) as lab:
        install.provide_images(lab, _languages(all_examples))
        progress.say(f"cluster {lab.name} of {nodes} node{'s' * (nodes > 1)}; logs in {lab.run_dir}/logs")
        code = namespaces.run(command, lab.environment)
        if code:
            sys.exit(code)  # within the block: what failed is kept


if __name__ == "__main__":
    try:
        main(prog_name="lab")
    except LabError as error:
        progress.say(str(error), "red")
        sys.exit(1)
