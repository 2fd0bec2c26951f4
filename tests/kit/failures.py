"""Where logs, audit log and objects of a cluster are kept when a test fails, or when it could not even begin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab import Cluster

FAILURES: Final = Path(__file__).parents[2] / "build" / "failures"


def folder_of(test: str) -> Path:
    """Folder for a test, by its node id or any other name."""
    return FAILURES / re.sub(r"[^A-Za-z0-9_.-]+", "_", test)


@contextmanager
def kept_when_failing(cluster: Cluster, name: str) -> Iterator[None]:
    """Keep what helps to understand why the block failed, and say where."""
    try:
        yield
    except Exception as error:
        cluster.dump(folder_of(name))
        error.add_note(f"logs, audit log and objects are in {folder_of(name)}")
        raise
