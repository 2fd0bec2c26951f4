"""The page of settings, and `--help`, tell all flags of a command and nothing else."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

from grpcbalance.__main__ import main
from grpcbalance.cli.operator import operator_command
from grpcbalance.cli.settings import PREFIX, flag, variable
from grpcbalance.cli.xds import PREFIX as XDS_PREFIX
from grpcbalance.cli.xds import xds_command
from grpcbalance.settings import Settings
from grpcbalance.xds.settings import XdsSettings

PAGE = Path(__file__).parents[2] / "docs/reference/settings.md"
Field = dataclasses.Field[Any]


class Command(NamedTuple):
    """A command with its settings. `found`: how the page writes a default that is no value."""

    command: click.Command
    settings: type
    prefix: str
    section: int
    found: dict[str, str]

    def rows(self) -> dict[str, list[str]]:
        """Of the table in its section: the flag, and the other cells."""
        text = PAGE.read_text().split("## Of the look-aside balancer")[self.section]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| `--" in line]
        return {row[0]: row[1:] for row in cells}


COMMANDS = [
    Command(
        operator_command, Settings, PREFIX, 0, {"namespace": "all", "cluster_domain": "found", "kubeconfig": "found"}
    ),
    Command(
        xds_command,
        XdsSettings,
        XDS_PREFIX,
        1,
        {"namespace": "all", "kubeconfig": "found"}
        | dict.fromkeys(("plaintext_address", "tls_address", "mtls_address"), "nowhere"),
    ),
]
each = pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.command.name)
each_setting = pytest.mark.parametrize(
    ("command", "item"),
    [
        pytest.param(one, item, id=f"{one.command.name} {item.name}")
        for one in COMMANDS
        for item in dataclasses.fields(one.settings)
    ],
)


@each
def test_the_page_lists_exactly_the_flags_of_the_command(command: Command) -> None:
    options = [p for p in command.command.params if isinstance(p, click.Option) and p.name != "help"]
    assert [option.name for option in options] == [item.name for item in dataclasses.fields(command.settings)]
    assert list(command.rows()) == [f"`{option.opts[0]}`" for option in options]


@each_setting
def test_the_page_tells_variable_default_bounds_and_meaning(command: Command, item: Field) -> None:
    name, default, bounds, meaning = command.rows()[f"`{flag(item.name)}`"]
    assert name == f"`{variable(item.name, command.prefix)}`"
    assert default == command.found.get(item.name, f"`{item.default}`")
    if "low" in item.metadata:
        assert bounds == f"{item.metadata['low']:g} to {item.metadata['high']:g}"
    elif "choices" in item.metadata:
        assert bounds == ", ".join(f"`{choice}`" for choice in item.metadata["choices"])
    else:
        assert bounds
    assert meaning == item.metadata["help"]


@each_setting
def test_help_explains_each(command: Command, item: Field) -> None:
    output = CliRunner().invoke(main, [str(command.command.name), "--help"], terminal_width=200).output
    text = re.sub(r"\s+", " ", output)
    assert item.metadata["help"] in text
    assert variable(item.name, command.prefix) in text
