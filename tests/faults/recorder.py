"""Records every change of the kinds that matter, in all namespaces, through outages of the API server."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Final, Self

from lab.install import GBS
from lab.rest import LOST, Object, Rest, path
from tests.faults.history import History, Seen

_KINDS: Final = (
    GBS,
    ("v1", "services"),
    ("discovery.k8s.io/v1", "endpointslices"),
    ("apps/v1", "deployments"),
    ("apps/v1", "statefulsets"),
    ("apps/v1", "daemonsets"),
    ("batch/v1", "cronjobs"),
)
_TURN: Final = 2.0


class Recorder:
    """`with Recorder(kubeconfig) as recorder: ... recorder.history()`. One thread for each kind."""

    def __init__(self, kubeconfig: Path) -> None:
        self._seen: list[Seen] = []
        self._stopping = threading.Event()
        self._api = Rest(kubeconfig, user_agent="grpcbalance-recorder")
        self._threads = [threading.Thread(target=self._follow, args=kind, name=f"record {kind[1]}") for kind in _KINDS]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(_TURN + 10)
        self._api.__exit__(None, None, None)

    def history(self) -> History:
        """All that was seen so far."""
        return History(list(self._seen))

    def of(self, namespace: str) -> History:
        """What was seen so far of one namespace."""
        return History(seen for seen in list(self._seen) if seen.namespace == namespace)

    def dump(self, file: Path, namespace: str) -> None:
        """Write what was seen of a namespace, one JSON object a line."""
        with file.open("w") as lines:
            for seen in self.of(namespace).seen:
                told = {"time": seen.time, "kind": seen.plural, "deleted": seen.deleted, "object": seen.object}
                lines.write(json.dumps(told) + "\n")

    def _follow(self, api_version: str, plural: str) -> None:
        url = path(api_version, plural)
        while not self._stopping.is_set():
            try:
                version = self._list(url, plural)
                while version and not self._stopping.is_set():
                    version = self._watch(url, plural, version)
            except LOST:
                self._stopping.wait(0.2)

    def _list(self, url: str, plural: str) -> str:
        """Tell of what is there, and of what went while nobody looked."""
        listing = self._api.request("GET", url)
        version, there = listing["metadata"]["resourceVersion"], set()
        for item in listing["items"]:
            there.add(item["metadata"]["uid"])
            self._note(plural, item, deleted=False)
        last = {seen.uid: seen for seen in list(self._seen) if seen.plural == plural}
        for uid, seen in last.items():
            if uid not in there and not seen.deleted:
                gone = {**seen.object, "metadata": {**seen.object["metadata"], "resourceVersion": version}}
                self._note(plural, gone, deleted=True)
        return str(version)

    def _watch(self, url: str, plural: str, version: str) -> str:
        """One turn of watching; the version to go on from, or none when that has been forgotten."""
        query = {"resourceVersion": version, "allowWatchBookmarks": "true"}
        for kind, item in self._api.watch(url, query, _TURN):
            if kind == "ERROR":
                return ""
            version = item["metadata"]["resourceVersion"]
            if kind != "BOOKMARK":
                self._note(plural, item, deleted=kind == "DELETED")
        return version

    def _note(self, plural: str, item: Object, *, deleted: bool) -> None:
        meta = item["metadata"]
        meta.pop("managedFields", None)
        version = int(meta["resourceVersion"])
        self._seen.append(Seen(version, time.time(), plural, meta.get("namespace", ""), meta["name"], deleted, item))
