"""The cluster of the fault tests: an operator that reaches the API server through the fault proxy, and a recorder."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from grpcbalance.moments import to_text
from lab import Lab
from lab.audit import AuditRecord, records
from lab.install import NAMESPACE, install_operator, operator_log, wait_operator
from lab.rest import Object, Rest, RestError, path
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder
from tests.kit import operator
from tests.kit.operator import ACCOUNT
from tests.kit.shop import Shop

# Short, so that tests need not wait a minute for a Service that nobody uses any more.
FLAGS: Final = ("--retire-after=3",)
_CODE: Final = "/opt/grpcbalance/lib"
_numbers = itertools.count(1)
_RUN: Final = secrets.token_hex(2)


class World:
    """The lab, its administrator's client, proxy and recorder, and the operator under test."""

    def __init__(self, lab: Lab, api: Rest, proxy: Proxy, recorder: Recorder) -> None:
        self.lab, self.api, self.proxy, self.recorder = lab, api, proxy, recorder
        self._flags: tuple[str, ...] = ()
        self._sabotage = ""
        self._spoiled = False
        # Of the operator's pods that were killed.
        self._logs = ""
        # The audit log is read once: how far, and what the operator asked for until there.
        self._read, self._asked = 0, list[AuditRecord]()
        self._shops: dict[str, Shop] = {}

    # -- the operator ------------------------------------------------------------------------------------

    def deploy(self, flags: Sequence[str] = FLAGS, sabotage: str = "") -> None:
        """Have the operator run with these flags, behind the proxy; `sabotage`: Python that its interpreter runs first.

        Does nothing when it runs so already.
        """
        if self._spoiled:
            self.restart()
            self._spoiled = False
        if self._flags == (*flags,) and self._sabotage == sabotage:
            return
        self.keep_log()
        if sabotage:
            self._keep_sabotage(sabotage)
        install_operator(self.lab, flags, change=partial(self._behind_proxy, sabotage=bool(sabotage)))
        self._flags, self._sabotage = (*flags,), sabotage

    def _keep_sabotage(self, code: str) -> None:
        meta = {"name": "sabotage", "namespace": NAMESPACE}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"sitecustomize.py": code}}
        text = yaml.safe_dump(made)
        self.lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def _behind_proxy(self, deployment: Object, *, sabotage: bool) -> None:
        pod = deployment["spec"]["template"]["spec"]
        container = pod["containers"][0]
        env = {"KUBERNETES_SERVICE_HOST": self.proxy.host, "KUBERNETES_SERVICE_PORT": str(self.proxy.port)}
        if sabotage:
            env["PYTHONPATH"] = f"/sabotage:{_CODE}"
            container["volumeMounts"] = [{"name": "sabotage", "mountPath": "/sabotage"}]
            pod["volumes"] = [{"name": "sabotage", "configMap": {"name": "sabotage"}}]
        container["env"] = [{"name": name, "value": value} for name, value in env.items()]

    def kill(self) -> None:
        """SIGKILL the operator; the next one starts at once."""
        self.keep_log()
        operator.kill(self.lab, self.api)

    def restart(self) -> None:
        """Replace the operator in an orderly way."""
        self.keep_log()
        operator.restart(self.lab, self.api)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """No operator runs within the block."""
        self.keep_log()
        with operator.away(self.api):
            yield
        wait_operator(self.lab)

    def restarts(self) -> int:
        """How often the kubelet restarted the operator's pod."""
        statuses = operator.pod(self.api)["status"].get("containerStatuses", [])
        return sum(int(status["restartCount"]) for status in statuses)

    def keep_log(self) -> None:
        """Remember what the operator wrote: its pod is about to go."""
        self._logs += operator_log(self.lab)

    def log(self, since: datetime) -> str:
        """What operators wrote since a moment, a line of JSON each."""
        lines = (self._logs + operator_log(self.lab)).splitlines()
        start = to_text(since, "milliseconds")
        # Lines begin with their time; what does not is no log line of ours, such as an interpreter's last words.
        return "\n".join(line for line in lines if not (m := re.match(r'\{"time": "([^"]+)"', line)) or m[1] >= start)

    def asked(self, since: datetime) -> list[AuditRecord]:
        """What the operator asked of the API server since a moment."""
        with self.lab.layout.audit_log.open("rb") as log:
            log.seek(self._read)
            # A last line without an end is still being written.
            new = log.read().rpartition(b"\n")[0]
        self._read += len(new) + bool(new)
        account = json.dumps(ACCOUNT)
        lines = (line + "\n" for line in new.decode().split("\n") if account in line)
        self._asked += [record for record in records(lines) if record.user == ACCOUNT]
        return [record for record in self._asked if record.time >= since]

    # -- namespaces --------------------------------------------------------------------------------------

    def shop(self, label: str) -> Shop:
        """A fresh namespace."""
        stem = re.sub(r"[^a-z0-9]+", "-", label.lower())[:30].strip("-")
        name = f"f{_RUN}-{next(_numbers):03d}-{stem}"
        self.api.create(path("v1", "namespaces"), {"metadata": {"name": name}})
        self._shops[name] = Shop(self.lab, self.api, name)
        return self._shops[name]

    def remove(self, shop: Shop) -> None:
        """Delete a namespace; nobody waits for its end."""
        self._shops.pop(shop.namespace, None)
        with contextlib.suppress(RestError):
            self.api.delete(path("v1", "namespaces", "", shop.namespace))

    def dump(self, folder: Path) -> None:
        """Keep the proxy's log, and what was recorded of namespaces that are still there, for a test that failed.

        The operator may be in any state after that: the next test gets another one.
        """
        self._spoiled = True
        folder.mkdir(parents=True, exist_ok=True)
        self.proxy.dump(folder / "proxy.log")
        (folder / "operators.log").write_text(self._logs)
        for namespace in self._shops:
            self.recorder.dump(folder / f"{namespace}.jsonl", namespace)


def now() -> datetime:
    """The present moment, as the audit log and the operator's log tell it."""
    return datetime.now(UTC)


def poll(question: Any, within: float, pause: float = 0.2) -> Any:
    """Ask until the answer is true, for so many seconds; answers with the last answer."""
    deadline = time.monotonic() + within
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(pause)
    return answer
