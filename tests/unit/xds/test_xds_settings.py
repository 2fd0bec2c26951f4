"""Settings of the look-aside balancer, their flags and variables."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from grpcbalance.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--namespace", "Shop"], "not the name of a namespace"),
        (["--namespace", ""], "not the name of a namespace"),
        (["--namespace", "shop", "--tls-address", ":1"], "--tls-address does not go with --namespace"),
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
