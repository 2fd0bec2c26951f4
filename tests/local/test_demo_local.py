"""`make demo-local` keeps its promises, and says what is wrong when it cannot begin."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "examples.local", *args]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=240)


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for tried in (one, other):
            tried.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.mark.full
def test_all_promises_are_kept(tmp_path: Path) -> None:
    port, dns_port = free_ports()
    output = tmp_path / "numbers.json"
    done = run(f"--port={port}", f"--dns-port={dns_port}", f"--output={output}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✘" not in done.stdout
    assert done.stdout.count("✔") == 9
    numbers = json.loads(output.read_text())
    assert list(numbers["before"].values()) == [300]
    assert set(numbers["after"]) == {"orders-a", "orders-b"}
    assert set(numbers["added"]["counts"]) == {"orders-a", "orders-b", "orders-c"}
    assert set(numbers["removed"]["counts"]) == {"orders-b", "orders-c"}
    assert numbers["added"]["failed_rpcs"] == numbers["removed"]["failed_rpcs"] == 0


@pytest.mark.parametrize("option", ["--port", "--dns-port"])
def test_a_port_that_is_taken(tmp_path: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        ports = dict(zip(["--port", "--dns-port"], map(str, free_ports()), strict=True)) | {option: str(number)}
        done = run(*(f"{name}={value}" for name, value in ports.items()), f"--output={tmp_path / 'x.json'}")
    assert done.returncode == 1
    advice = f'another program listens there; choose another: make demo-local ARGS="{option}={number + 1}"'
    assert f"✘ 127.0.0.1:{number}: {advice}" in done.stdout
