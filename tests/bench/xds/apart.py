"""Keeps of very many RPCs what is asked of them, from the logs as the kubelet has them."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final, Self

from lab import Lab
from lab.records import Rpc, failures, parse

# Seconds between two looks at the logs.
_LOOK: Final = 0.1


class Tally:
    """Of the RPCs of clients: the first and the last of each pair of client pod and server pod, and what failed.

    Reads the logs as the kubelet has them: through the API server a thousand lines a second would cost more than the
    calls that they tell of. Use as a context manager.
    """

    def __init__(self, lab: Lab, namespace: str, names: Iterable[str]) -> None:
        """`names`: Deployments of the clients."""
        self._patterns = [f"*/pod-logs/{namespace}_{name}-*/*/0.log" for name in names]
        self._folder = lab.run_dir
        self._tails: dict[Path, Tail] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.first: dict[tuple[str, str], Rpc] = {}
        self.last: dict[tuple[str, str], Rpc] = {}
        self.failed: list[Rpc] = []
        self.made: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        for tail in self._tails.values():
            tail.close()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK):
            for log in (found for pattern in self._patterns for found in self._folder.glob(pattern)):
                # <namespace>_<pod>_<uid>/<container>/0.log
                pod = log.parts[-3].split("_")[1]
                for line in self._tails.setdefault(log, Tail(log)).lines():
                    # Before the client's own words: time, stream, and whether the line is whole.
                    rpc = parse(line.split(" ", 3)[3], pod)
                    if rpc is not None:
                        self._keep(rpc)

    def _keep(self, rpc: Rpc) -> None:
        self.made[rpc.client] += 1
        if failures((rpc,)):
            self.failed.append(rpc)
        else:
            self.first.setdefault((rpc.client, rpc.pod), rpc)
            self.last[rpc.client, rpc.pod] = rpc


class Tail:
    """A log that the kubelet now and then puts away, to begin a new one under the same name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._rest = b""

    def lines(self) -> list[str]:
        """Whole lines that have come since the last time."""
        found = self._new_lines()
        try:
            file = self._path.open("rb")
        except FileNotFoundError:  # it is between the two
            return found
        if self._file is not None and os.path.sameopenfile(file.fileno(), self._file.fileno()):
            file.close()
            return found
        # The former one may have been written to after our look, and before it was put away.
        found += self._new_lines()
        self.close()
        self._file = file
        return found + self._new_lines()

    def _new_lines(self) -> list[str]:
        if self._file is None:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [line.decode() for line in lines]

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
