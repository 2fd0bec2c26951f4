"""Settings of the look-aside balancer, their flags and variables."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grpcbalance.__main__ import main
from grpcbalance.cli.settings import flag, variable
from grpcbalance.cli.xds import PREFIX
from grpcbalance.xds import main as main_module
from grpcbalance.xds.settings import XdsSettings

FIELDS = dataclasses.fields(XdsSettings)
# Another value for what has none by default.
FOUND = {
    "namespace": "shop",
    "plaintext_address": ":18000",
    "tls_address": ":18001",
    "mtls_address": ":18002",
    "kubeconfig": None,
}


def name_of(item: dataclasses.Field[Any]) -> str:
    return variable(item.name, PREFIX)


def settings_of(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> XdsSettings:
    """What `grpcbalance xds` would run with."""
    given: list[XdsSettings] = []

    def run(settings: XdsSettings) -> int:
        given.append(settings)
        return 7

    monkeypatch.setattr(main_module, "run", run)
    result = CliRunner(env={"KUBECONFIG": "", **environment}).invoke(main, ["xds", *arguments])
    assert result.exit_code == 7, result.output
    return given[0]


def test_defaults_are_those_of_the_dataclass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(monkeypatch) == XdsSettings()


def other(item: dataclasses.Field[Any], folder: Path) -> tuple[str, object]:
    """A value that is not the default, as text and as it should arrive."""
    if item.name == "kubeconfig":
        (folder / "config").touch()
        return str(folder / "config"), str(folder / "config")
    if item.name in FOUND:
        return str(FOUND[item.name]), FOUND[item.name]
    if "choices" in item.metadata:
        value = next(choice for choice in item.metadata["choices"] if choice != item.default)
        return value, value
    if isinstance(item.default, str):
        return "[::1]:9", "[::1]:9"
    more = item.metadata["low"] + 1
    return str(more), more


@pytest.mark.parametrize("item", FIELDS, ids=lambda item: item.name)
def test_each_is_a_flag_and_a_variable_and_the_flag_wins(
    item: dataclasses.Field[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text, value = other(item, tmp_path)
    assert getattr(settings_of(monkeypatch, **{name_of(item): text}), item.name) == value
    assert getattr(settings_of(monkeypatch, flag(item.name), text), item.name) == value
    if item.name not in FOUND:
        both = settings_of(monkeypatch, flag(item.name), str(item.default), **{name_of(item): text})
        assert getattr(both, item.name) == item.default


def test_kubectls_own_variable_is_honoured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    assert settings_of(monkeypatch, KUBECONFIG=str(tmp_path / "config")).kubeconfig == str(tmp_path / "config")


@pytest.mark.parametrize("item", [item for item in FIELDS if "low" in item.metadata], ids=lambda item: item.name)
@pytest.mark.parametrize("side", ["low", "high"])
def test_bounds_are_kept_with_an_error_that_names_the_flag(item: dataclasses.Field[Any], side: str) -> None:
    bad = item.metadata[side] + (1 if side == "high" else -1)
    result = CliRunner().invoke(main, ["xds", flag(item.name), str(bad)])
    assert result.exit_code == 2
    assert flag(item.name) in result.output
    assert "not in the range" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--namespace", "Shop"], "not the name of a namespace"),
        (["--namespace", ""], "not the name of a namespace"),
        (["--plaintext-address", "18000"], "'18000' is not HOST:PORT"),
        (["--tls-address", "x"], "'x' is not HOST:PORT"),
        (["--mtls-address", ":x"], "':x' is not HOST:PORT"),
        (["--http-address", ":65536"], "':65536' is not HOST:PORT"),
        (["--log-format", "xml"], "is not one of 'json', 'text'"),
        (["--kubeconfig", "/does/not/exist"], "does not exist"),
    ],
)
def test_nonsense_is_refused_clearly(arguments: list[str], message: str) -> None:
    result = CliRunner(env={"KUBECONFIG": ""}).invoke(main, ["xds", *arguments])
    assert result.exit_code == 2
    assert message in re.sub(r"\s+", " ", result.output)
