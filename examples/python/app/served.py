"""How many RPCs reached a server."""

import threading

import grpc

from . import lines


class Served:
    """Counts RPCs, and those among them that the client's library marked as a repetition."""

    def __init__(self, pod: str) -> None:
        self._pod = pod
        self._lock = threading.Lock()  # the server handles RPCs in several threads
        self._attempts = self._retries = self._told = 0

    def count(self, context: grpc.ServicerContext) -> None:
        """Count an RPC."""
        retry = any(key == "grpc-previous-rpc-attempts" for key, _ in context.invocation_metadata())
        with self._lock:
            self._attempts += 1
            self._retries += retry

    def write_news(self) -> None:
        """Write a line if RPCs came since the last one."""
        if self._attempts > self._told:
            self.write()

    def write(self) -> None:
        """Write how many RPCs came since the start."""
        with self._lock:
            self._told, retries = self._attempts, self._retries
        counts = {"t": lines.now(), "pod": self._pod, "attempts": self._told, "retries": retries}
        lines.write({"served": counts})
