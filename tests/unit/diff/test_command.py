"""The command: exit status, formats, and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from grpcbalance.__main__ import main
from grpcbalance.cli import diff as command
from grpcbalance.diff.report import Report

GOLDEN = Path(__file__).parent / "golden"
MANIFESTS = str(GOLDEN / "manifests.yaml")
GBS = "apiVersion: grpcbalance.dev/v1alpha1\nkind: GrpcBalancedService\nmetadata: {name: orders}\nspec: {selector: {app: orders}, port: grpc}\n"


def run(*arguments: str, stdin: str = "", color: bool = False) -> Result:
    return CliRunner(env={"KUBECONFIG": ""}).invoke(main, ["diff", *arguments], input=stdin, color=color)


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_each_format_is_as_it_always_was(form: str) -> None:
    result = run("--no-cluster", "-n", "shop", "-f", MANIFESTS, "-o", form)
    assert result.exit_code == 1
    assert result.stdout == (GOLDEN / f"report.{'txt' if form == 'text' else form}").read_text()
    assert result.stderr == ""


def test_yaml_says_what_json_says() -> None:
    text = (GOLDEN / "report.json").read_text()
    assert yaml.safe_load((GOLDEN / "report.yaml").read_text()) == json.loads(text)
    assert Report.model_validate_json(text).version == "v1"


@pytest.mark.parametrize("arguments", [(), ("-o", "json")])
def test_status_0_means_that_nothing_would_be_written(arguments: tuple[str, ...]) -> None:
    result = run("--no-cluster", "-f", "-", *arguments, stdin=GBS)
    assert result.exit_code == 0
    assert "PortUnresolved" in result.stdout


def test_colours_are_for_terminals() -> None:
    arguments = ("--no-cluster", "-f", MANIFESTS)
    assert "\x1b[" not in run(*arguments).stdout
    coloured = run(*arguments, color=True).stdout
    assert click.style("+ GRPC_SERVER_MAX_CONNECTION_AGE_MS=300000", fg="green") in coloured
    assert click.unstyle(coloured) == run(*arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--no-cluster"], "", "--no-cluster needs manifests: add --filename"),
        (["--cluster-domain=a..b"], "", "cluster domain 'a..b' is not a DNS name without trailing dot"),
        (["--xds-fallback=balancer"], "", "xds service 'balancer' is not NAME.NAMESPACE of a Service"),
        (["--no-cluster", "-f", "-"], "a: [", "standard input:1: no valid YAML"),
        (
            ["--no-cluster", "-f", "-"],
            GBS.replace("grpc}", "0}"),
            "standard input:1: GrpcBalancedService orders: spec.port",
        ),
        (["--no-cluster", "-f", "/nowhere"], "", "/nowhere: No such file or directory"),
        (["-o", "xml"], "", "is not one of 'text', 'json', 'yaml'"),
        (["--kubeconfig", "/nowhere"], "", "/nowhere"),
    ],
)
def test_an_error_has_status_2_and_says_what_is_wrong(arguments: list[str], stdin: str, message: str) -> None:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def kubeconfig(folder: Path, **context: str) -> str:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", **context}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "current-context": "x",
    }
    (folder / "config").write_text(yaml.safe_dump(document))
    return str(folder / "config")


def test_a_cluster_that_is_away_is_an_error_with_verb_and_resource(tmp_path: Path) -> None:
    result = run("--kubeconfig", kubeconfig(tmp_path))
    assert result.exit_code == 2
    assert "list grpcbalancedservices: " in result.stderr
    assert "does kubectl reach the cluster?" in result.stderr


def test_a_context_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    result = run("--kubeconfig", kubeconfig(tmp_path), "--context", "other")
    assert result.exit_code == 2
    assert "other" in result.stderr


def test_progress_is_told_only_of_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def steps(patience: float) -> str:
        monkeypatch.setattr(command, "_PATIENCE", patience)
        progress = command._Progress()
        progress("listing services")
        progress("listing deployments")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        progress("listing pods")
        return capsys.readouterr().err

    assert asyncio.run(steps(60.0)) == ""
    assert asyncio.run(steps(0.0)) == "listing deployments …\nlisting pods …\n"
