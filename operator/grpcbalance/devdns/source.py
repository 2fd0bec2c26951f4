"""Where hosts come from, and the names file as such a source: read, and read again when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from .hosts import Hosts, SourceError
from .names_file import LARGEST, read

# Seconds between two looks at the file. Every system and every editor can be followed so, without a library.
POLL: Final = 0.2

Publish = Callable[[Hosts], None]
Trouble = Callable[[str], None]
# What tells one state of a file from another: a new file may have the old one's time and size.
_Stamp = tuple[int, int, int] | None


class Source(Protocol):
    """Knows hosts and follows their changes."""

    async def read(self) -> Hosts:
        """Hosts as they are now; comes first. Raises SourceError."""

    async def run(self, publish: Publish, trouble: Trouble) -> None:
        """Publish all hosts at each change, for ever. Trouble is told, and what was published last stands."""

    async def close(self) -> None:
        """Give back what `read` has opened."""


class NamesFile:
    """A names file."""

    def __init__(self, path: Path, default_config: str | None) -> None:
        self._path, self._default_config = path, default_config
        self._read: _Stamp = None

    async def read(self) -> Hosts:
        """Hosts of the file."""
        self._read = self._stamp()
        return self._hosts()

    async def run(self, publish: Publish, trouble: Trouble) -> None:
        """Look at the file every so often; it is read when it looks the same twice, since editors write in steps."""
        before = self._read
        while True:
            await asyncio.sleep(POLL)
            now = self._stamp()
            if now == before and now != self._read:
                self._read = now
                try:
                    publish(self._hosts())
                except SourceError as error:
                    trouble(str(error))
            before = now

    async def close(self) -> None:
        """Nothing is open."""

    def _stamp(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _hosts(self) -> Hosts:
        try:
            with self._path.open(encoding="utf-8") as file:
                return read(file.read(LARGEST + 1), self._default_config)
        except SourceError as error:
            raise SourceError(f"{self._path}: {error}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"{self._path}: is not UTF-8 text") from error
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror}") from error
