"""Settings, their flags and variables."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grpcbalance import main as main_module
from grpcbalance.__main__ import main
from grpcbalance.cli import operator as operator_cli
from grpcbalance.cli.settings import flag, variable
from grpcbalance.settings import Settings, cluster_domain, split_address

FIELDS = dataclasses.fields(Settings)


def settings_of(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> Settings:
    """What `grpcbalance operator` would run with."""
    given: list[Settings] = []

    def run(settings: Settings, **_: object) -> int:
        given.append(settings)
        return 0

    monkeypatch.setattr(main_module, "run", run)
    result = CliRunner(env={"KUBECONFIG": "", **environment}).invoke(main, ["operator", *arguments])
    assert result.exit_code == 0, result.output
    return given[0]


def test_defaults_are_those_of_the_dataclass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(monkeypatch, "--cluster-domain", "cluster.local") == Settings()


def other(item: dataclasses.Field[Any], folder: Path) -> tuple[str, object]:
    """A value that is not the default, as text and as it should arrive."""
    if item.name == "namespace":
        return "shop", "shop"
    if item.name == "kubeconfig":
        (folder / "config").touch()
        return str(folder / "config"), str(folder / "config")
    if "choices" in item.metadata:
        value = next(choice for choice in item.metadata["choices"] if choice != item.default)
        return value, value
    if isinstance(item.default, str):
        return {"cluster_domain": ("k8s.example",) * 2, "http_address": ("[::1]:9",) * 2}[item.name]
    more = type(item.default)(item.default + 1)  # type: ignore[operator,misc]  # only numbers are left
    return str(more), more


@pytest.mark.parametrize("item", FIELDS, ids=lambda item: item.name)
def test_each_is_a_flag_and_a_variable_and_the_flag_wins(
    item: dataclasses.Field[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text, value = other(item, tmp_path)
    assert getattr(settings_of(monkeypatch, **{variable(item.name): text}), item.name) == value
    assert getattr(settings_of(monkeypatch, flag(item.name), text), item.name) == value
    if item.name not in ("namespace", "kubeconfig", "cluster_domain"):
        both = settings_of(monkeypatch, flag(item.name), str(item.default), **{variable(item.name): text})
        assert getattr(both, item.name) == item.default


BOUNDED = [item for item in FIELDS if "low" in item.metadata]


@pytest.mark.parametrize("item", BOUNDED, ids=lambda item: item.name)
@pytest.mark.parametrize("side", [-1, 1])
def test_bounds_are_kept_with_an_error_that_names_the_flag(item: dataclasses.Field[Any], side: int) -> None:
    bad = item.metadata["low"] - 0.5 if side < 0 else item.metadata["high"] + 1
    text = str(int(bad // 1) if isinstance(item.default, int) else bad)
    result = CliRunner().invoke(main, ["operator", flag(item.name), text])
    assert result.exit_code == 2
    assert flag(item.name) in result.output
    assert "not in the range" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluster-domain", "Cluster.Local"], "not a DNS name"),
        (["--cluster-domain", "cluster.local."], "without trailing dot"),
        (["--cluster-domain", "a" * 201], "not a DNS name"),
        (["--namespace", "Shop"], "not the name of a namespace"),
        (["--namespace", ""], "not the name of a namespace"),
        (["--http-address", "8080"], "not HOST:PORT"),
        (["--http-address", ":65536"], "not HOST:PORT"),
        (["--log-format", "xml"], "is not one of 'json', 'text'"),
        (["--kubeconfig", "/does/not/exist"], "does not exist"),
        (["--workers", "many"], "not a valid integer"),
    ],
)
def test_nonsense_is_refused_clearly(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["operator", *arguments])
    assert result.exit_code == 2
    assert message in re.sub(r"\s+", " ", result.output)


@pytest.mark.parametrize(
    ("address", "parts"),
    [(":8080", (None, 8080)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("h:1", ("h", 1))],
)
def test_addresses(address: str, parts: tuple[str | None, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\n", "cluster.local"),
        ("search a.svc.k8s.example. svc.k8s.example. k8s.example.\n", "k8s.example"),
        ("search svc.first\nsearch x.svc.second svc.second\n", "second"),
        ("search example.com\n", None),
        ("search svc.\n", None),
        ("nameserver 1.1.1.1\n", None),
        ("", None),
    ],
)
def test_cluster_domain_of_a_pod(text: str, domain: str | None, tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert cluster_domain(path) == domain


@pytest.mark.parametrize(
    ("arguments", "found", "assumed"),
    [([], None, True), ([], "k8s.example", False), (["--cluster-domain=k8s.example"], None, False)],
    ids=["neither given nor found", "found", "given"],
)
def test_a_cluster_domain_that_is_only_assumed_is_told(
    arguments: list[str], found: str | None, assumed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, object]] = []

    def run(settings: Settings, *, domain_assumed: bool) -> int:
        told.append((settings.cluster_domain, domain_assumed))
        return 0

    monkeypatch.setattr(main_module, "run", run)
    monkeypatch.setattr(operator_cli, "cluster_domain", lambda: found)
    assert CliRunner(env={"KUBECONFIG": ""}).invoke(main, ["operator", *arguments]).exit_code == 0
    assert told == [("cluster.local" if assumed else "k8s.example", assumed)]


def test_cluster_domain_without_a_file(tmp_path: Path) -> None:
    assert cluster_domain(tmp_path / "none") is None


def test_version_and_the_list_of_commands() -> None:
    assert CliRunner().invoke(main, ["--version"]).output.startswith("grpcbalance, version ")
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2
