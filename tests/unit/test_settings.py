"""Settings, their flags and variables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from grpcbalance import main as main_module
from grpcbalance.__main__ import main
from grpcbalance.cli import operator as operator_cli
from grpcbalance.settings import Settings, cluster_domain, split_address


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluster-domain", "Cluster.Local"], "not a DNS name"),
        (["--cluster-domain", "cluster.local."], "without trailing dot"),
        (["--cluster-domain", "a" * 201], "not a DNS name"),
        (["--xds-service", "grpcbalance-xds"], "is not NAME.NAMESPACE of a Service"),
        (["--xds-service", f"{'a' * 55}.b"], "with a name of at most 54 characters"),
        (["--xds-service", "a.b.svc"], "is not NAME.NAMESPACE of a Service"),
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
