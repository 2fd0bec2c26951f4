"""Settings of every command: each is a flag and a variable with bounds, and the page and `--help` tell all of them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner, Result

from grpcbalance import main as operator_main
from grpcbalance.__main__ import main
from grpcbalance.cli.operator import operator_command
from grpcbalance.cli.settings import PREFIX, flag, variable
from grpcbalance.cli.xds import PREFIX as XDS_PREFIX
from grpcbalance.cli.xds import xds_command
from grpcbalance.settings import Settings
from grpcbalance.xds import main as xds_main
from grpcbalance.xds.settings import XdsSettings

PAGE = Path(__file__).parents[2] / "docs/reference/settings.md"
Field = dataclasses.Field[Any]


class Command(NamedTuple):
    """A command with its settings, and the module whose `run` it calls.

    `found`: how the page writes a default that is no value; `others`: values that are not the default, of texts.
    """

    command: click.Command
    module: ModuleType
    settings: type
    prefix: str
    section: int
    found: dict[str, str]
    others: dict[str, str]

    def given(self, monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> Any:
        """The settings that it would run with."""
        given: list[object] = []

        def run(settings: object, **_: object) -> int:
            given.append(settings)
            return 7

        monkeypatch.setattr(self.module, "run", run)
        result = self.invoke(*arguments, **environment)
        assert result.exit_code == 7, result.output
        return given[0]

    def invoke(self, *arguments: str, **environment: str) -> Result:
        """Call it."""
        return CliRunner(env={"KUBECONFIG": "", **environment}).invoke(main, [str(self.command.name), *arguments])

    def rows(self) -> dict[str, list[str]]:
        """Of the table in its section: the flag, and the other cells."""
        text = PAGE.read_text().split("## Of the look-aside balancer")[self.section]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| `--" in line]
        return {row[0]: row[1:] for row in cells}


COMMANDS = [
    Command(
        operator_command,
        operator_main,
        Settings,
        PREFIX,
        0,
        {"namespace": "all", "cluster_domain": "found", "kubeconfig": "found", "xds_fallback": "none"},
        {"namespace": "shop", "cluster_domain": "k8s.example", "xds_service": "lb.mesh", "http_address": "[::1]:9"}
        | {"xds_fallback": "second.elsewhere"},
    ),
    Command(
        xds_command,
        xds_main,
        XdsSettings,
        XDS_PREFIX,
        1,
        {"namespace": "all", "kubeconfig": "found"}
        | dict.fromkeys(("plaintext_address", "tls_address", "mtls_address"), "nowhere"),
        {"namespace": "shop", "certificates": "/tls", "http_address": "[::1]:9"}
        | {"plaintext_address": ":18000", "tls_address": ":18001", "mtls_address": ":18002"},
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


each_bound = pytest.mark.parametrize(
    ("command", "item", "side"),
    [
        pytest.param(one, item, side, id=f"{one.command.name} {item.name} {side}")
        for one in COMMANDS
        for item in dataclasses.fields(one.settings)
        if "low" in item.metadata
        for side in ("low", "high")
    ],
)


def other(command: Command, item: Field, folder: Path) -> tuple[str, object]:
    """A value that is not the default, as text and as it should arrive."""
    if item.name == "kubeconfig":
        (folder / "config").touch()
        return str(folder / "config"), str(folder / "config")
    if "choices" in item.metadata:
        value = next(choice for choice in item.metadata["choices"] if choice != item.default)
        return value, value
    if item.name in command.others:
        return command.others[item.name], command.others[item.name]
    number: Any = item.default
    return str(number + 1), number + 1


@each
def test_defaults_are_those_of_the_dataclass(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is found when it runs differs from machine to machine.
    found = ["--cluster-domain", "cluster.local"] if "cluster_domain" in command.found else []
    assert command.given(monkeypatch, *found) == command.settings()


@each_setting
def test_each_is_a_flag_and_a_variable_and_the_flag_wins(
    command: Command, item: Field, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = variable(item.name, command.prefix)
    text, value = other(command, item, tmp_path)
    assert getattr(command.given(monkeypatch, **{name: text}), item.name) == value
    assert getattr(command.given(monkeypatch, flag(item.name), text), item.name) == value
    if item.name not in command.found:
        both = command.given(monkeypatch, flag(item.name), str(item.default), **{name: text})
        assert getattr(both, item.name) == item.default


@each
def test_kubectls_own_variable_is_honoured(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    path = str(tmp_path / "config")
    assert command.given(monkeypatch, KUBECONFIG=path).kubeconfig == path


@each_bound
def test_bounds_are_kept_with_an_error_that_names_the_flag(command: Command, item: Field, side: str) -> None:
    step = 1 if isinstance(item.default, int) else 0.5
    bad = item.metadata[side] + (step if side == "high" else -step)
    result = command.invoke(flag(item.name), str(bad))
    assert result.exit_code == 2
    assert flag(item.name) in result.output
    assert "not in the range" in result.output


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
