"""The command as a process, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest
from click.testing import CliRunner
from dns.rcode import Rcode

from grpcbalance.__main__ import main
from grpcbalance.devdns.hosts import Hosts
from grpcbalance.devdns.report import Text
from grpcbalance.devdns.server import Listen

from .asking import CONFIG, ORDERS, host, lines

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "operator")}
NAMES = f"{ORDERS}: {{addresses: [127.0.0.1], ports: {{grpc: 5000}}}}\n"


@contextmanager
def running(*args: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "grpcbalance", "dev", "dns", "--listen", "127.0.0.1:0", *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def ask(address: str, name: str, kind: str = "A") -> list[str]:
    listen, port = address.split(":")
    return lines(dns.query.udp(dns.message.make_query(name, kind), listen, timeout=5, port=int(port)).answer)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.yaml"
    path.write_text(NAMES)
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_from_start_to_signal(names: Path, number: signal.Signals) -> None:
    with running(str(names), "--output=json", f"--txt-service-config={CONFIG}") as process:
        listening = said(process)["listening"]
        assert listening == {"on": listening["on"], "source": str(names), "names": {ORDERS: ["127.0.0.1"]}}
        (address,) = listening["on"]
        assert ask(address, ORDERS) == [f"{ORDERS}. 5 IN A 127.0.0.1"]
        assert len(ask(address, f"_grpc_config.{ORDERS}", "TXT")) == 1
        names.write_text(NAMES.replace("[127.0.0.1]", "[127.0.0.2]"))
        change = {"name": ORDERS, "gone": False, "addresses": ["127.0.0.2"], "added": ["127.0.0.2"]}
        assert said(process) == {"change": {**change, "removed": ["127.0.0.1"], "changed": []}}
        assert ask(address, ORDERS) == [f"{ORDERS}. 5 IN A 127.0.0.2"]
        names.write_text("x")
        assert said(process)["trouble"].startswith(f"{names}: line 1: ")
        assert ask(address, ORDERS) == [f"{ORDERS}. 5 IN A 127.0.0.2"]
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr
        assert process.stderr.read() == ""


def test_text_for_people(names: Path) -> None:
    with running(str(names)) as process:
        assert process.stderr
        told = [process.stderr.readline().rstrip() for _ in range(6)]
        port = re.findall(r"127\.0\.0\.1:(\d+)", told[0])[0]
        assert told == [
            f"listening on 127.0.0.1:{port} (UDP and TCP); Ctrl-C ends it",
            f"1 name from {names}:",
            f"  {ORDERS}  127.0.0.1  grpc=5000",
            f"target in Go and Python:  dns://127.0.0.1:{port}/{ORDERS}:5000",
            "in Node:  the same, with GRPC_NODE_USE_ALTERNATIVE_RESOLVER=true in the environment",
            "in Java:  there is no way to name a DNS server in a target; see docs/howto/develop-without-a-cluster.md",
        ]
        names.write_text(NAMES.replace("[127.0.0.1]", "[127.0.0.1, 127.0.0.2]"))
        assert process.stderr.readline() == f"{ORDERS}: + 127.0.0.2, now 2 addresses\n"
        names.write_text("# the same\n" + names.read_text())
        assert process.stderr.readline() == f"{names}: read again, nothing is different\n"
        names.unlink()
        assert process.stderr.readline() == f"{names}: No such file or directory; the last names stay in force\n"
        process.terminate()
        assert process.wait(10) == 0


def test_a_query_with_records_of_class_any_does_no_harm(names: Path) -> None:
    # dnspython would take A records for unknown ones from then on, if it had not met any before.
    query = dns.message.make_query("absent.cluster.local", "A").to_wire()
    poison = query[:11] + b"\x01" + query[12:] + b"\x00" + bytes([0, 1, 0, 255, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4])
    with running(str(names), "--output=json") as process:
        (address,) = said(process)["listening"]["on"]
        host_, port = address.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(5)
            sender.sendto(poison, (host_, int(port)))
            assert dns.message.from_wire(sender.recv(512)).rcode() == Rcode.NXDOMAIN
        assert ask(address, ORDERS) == [f"{ORDERS}. 5 IN A 127.0.0.1"]


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["dev", "dns", *args])
    return result.exit_code, result.output


def test_port_in_use(names: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = f"Error: cannot listen on {address}: another program does; choose another port with --listen\n"
        assert run(str(names), "--listen", address) == (1, text)


def test_address_of_another_machine(names: Path) -> None:
    code, output = run(str(names), "--listen", "192.0.2.1:1053")
    assert (code, "this machine does not have that address" in output) == (1, True)


def test_broken_file_to_begin_with(names: Path) -> None:
    names.write_text("x: [")
    code, output = run(str(names))
    assert code == 1
    assert output.startswith(f"Error: {names}: line 1: no YAML: ")


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ([], "give either NAMES_FILE or --from-cluster"),
        (["n.yaml", "--from-cluster"], "give either NAMES_FILE or --from-cluster"),
        (["n.yaml", "--namespace=shop"], "--namespace is for --from-cluster"),
        (
            ["n.yaml", "--listen=localhost:1053"],
            "'localhost:1053' must be IP:PORT, such as 127.0.0.1:1053 or [::1]:1053",
        ),
        (["n.yaml", "--listen=127.0.0.1"], "must be IP:PORT"),
        (["n.yaml", "--listen=::1:1053"], "must be IP:PORT"),
        (["n.yaml", "--listen=[127.0.0.1]:1053"], "must be IP:PORT"),
        (["n.yaml", "--listen=127.0.0.1:65536"], "must be IP:PORT"),
        (["n.yaml", "--listen=127.0.0.1:-1"], "must be IP:PORT"),
        (["n.yaml", "--cluster-domain=a..b"], "must be a DNS name"),
        (["n.yaml", f"--cluster-domain={'a' * 57}"], "must be a DNS name, at most 56 long"),
        (["n.yaml", "--txt-service-config={"], "not JSON"),
    ],
)
def test_usage(args: Sequence[str], reason: str) -> None:
    code, output = run(*args)
    assert code == 2
    assert reason in output


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    code, output = run("--from-cluster")
    assert code == 1
    assert "outside of a cluster, pass --kubeconfig" in output


def test_a_names_file_needs_no_kubernetes_client(names: Path) -> None:
    names.write_text("x")
    code = (
        "import sys; from grpcbalance.__main__ import main\n"
        f"try: main(['dev', 'dns', {str(names)!r}])\n"
        "except SystemExit: assert not {'kubernetes', 'aiohttp', 'kopf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT, capture_output=True)


def test_more_names_than_fit_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    hosts: Hosts = {f"n{n:02}.test": host(f"n{n:02}.test") for n in range(25)}
    Text().started([Listen("0.0.0.0", 53), Listen("::", 53)], "x", hosts)  # noqa: S104 - nothing listens
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "listening on 0.0.0.0:53, [::]:53 (UDP and TCP); Ctrl-C ends it"
    assert told[1:3] == ["25 names from x:", "  n00.test  no address: NXDOMAIN"]
    assert told[22:24] == ["  … and 5 more", "target in Go and Python:  dns://127.0.0.1:53/NAME:PORT"]
