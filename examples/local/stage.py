"""What the local demo acts with: servers on loopback addresses, a client, and the DNS server that has their name."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Self

import yaml

from lab.records import Rpc, parse

from .programs import ROOT, Program, build_example, check_free

NAME: Final = "orders-headless.shop.svc.cluster.local"
# Where each server listens, by the name that it gives in its replies.
SERVERS: Final = {"orders-a": "127.0.0.1", "orders-b": "127.0.0.2", "orders-c": "127.0.0.3"}
# Seconds; RPCs a second.
MAX_CONNECTION_AGE, RESOLUTION_FLOOR, RATE = 10, 1, 100

Dns = Program[dict[str, Any]]
Client = Program[Rpc]


class Stage:
    """The programs, as a context manager. `folder` takes the names file, what is built, and logs."""

    def __init__(self, folder: Path, port: int, dns_port: int) -> None:
        self.folder, self.port, self.dns_port = folder, port, dns_port
        self.target = f"dns://127.0.0.1:{dns_port}/{NAME}:{port}"
        self._programs = ExitStack()
        self._servers: dict[str, Program[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._programs.close()

    def build(self) -> None:
        """See that the addresses are free, and build the example. Raises ProgramError."""
        for host in SERVERS.values():
            check_free(host, self.port, f"--port={self.port + 1}")
        check_free("127.0.0.1", self.dns_port, f"--dns-port={self.dns_port + 1}")
        self._app = str(build_example(self.folder))

    def start_servers(self) -> None:
        """Start all servers, and wait until they listen."""
        age = {"GRPC_SERVER_MAX_CONNECTION_AGE_MS": str(MAX_CONNECTION_AGE * 1000)}
        for pod, host in SERVERS.items():
            variables = {"LISTEN": f"{host}:{self.port}", "POD_NAME": pod, "POD_IP": host, **age}
            server = Program([self._app, "server"], variables, self.folder / f"{pod}.log", str)
            self._servers[pod] = self._programs.enter_context(server)
        for pod, host in SERVERS.items():
            self._servers[pod].wait_listening(host, self.port)

    def start_dns(self, pods: Iterable[str]) -> None:
        """Start the DNS server with these pods under the name, and wait until it listens."""
        file = self._write_names(pods)
        command = [sys.executable, "-m", "grpcbalance", "dev", "dns", str(file), "--output=json"]
        environment = {"PYTHONPATH": str(ROOT / "operator")}
        log = self.folder / "grpcbalance dev dns.log"
        dns: Dns = Program([*command, f"--listen=127.0.0.1:{self.dns_port}"], environment, log, json.loads)
        self._dns = self._programs.enter_context(dns)
        self._dns.wait(lambda told: "listening" in told[0] if told else False, within=20, what="it listens")

    def name(self, pods: Iterable[str]) -> float:
        """Write these pods' addresses into the names file; the moment at which the DNS server has taken them."""
        before = len(self._dns.told())
        self._write_names(pods)
        self._dns.wait(lambda told: any("change" in line for line in told), since=before, within=10, what="it follows")
        return time.time()

    def _write_names(self, pods: Iterable[str]) -> Path:
        """As editors do: a new file in the place of the old one."""
        entry = {"addresses": [SERVERS[pod] for pod in pods], "ports": {"grpc": self.port}}
        new, file = self.folder / "names.yaml.new", self.folder / "names.yaml"
        new.write_text(yaml.safe_dump({NAME: entry}))
        return new.replace(file)

    @contextmanager
    def client(self, name: str, variables: Mapping[str, str]) -> Iterator[Client]:
        """A client of the service ORDERS."""
        environment = {"SERVICE": "ORDERS", "RATE": str(RATE), **variables}
        with Program([self._app, "client"], environment, self.folder / f"{name}.log", parse) as client:
            yield client

    def stop_server(self, pod: str) -> None:
        """End a server in an orderly way."""
        self._servers[pod].stop()
