"""Files and folders that take long to make, kept outside the checkout under a key of all that went into them.

An entry is complete or absent: it is made under another name and gets its own by one rename. A lock per entry keeps
two processes from making it twice. Knows nothing of what the entries are.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from . import progress
from .model import LabError

# Older entries of the same name that are kept, so that going back and forth between branches stays quick.
_KEPT: Final = 3
_UNUSED_SECONDS: Final = 24 * 3600


def root() -> Path:
    """Folder of the cache: GRPCBALANCE_LAB_CACHE, or below XDG_CACHE_HOME, or below ~/.cache."""
    own = os.environ.get("GRPCBALANCE_LAB_CACHE")
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "grpcbalance-lab"


def key(folder: Path, files: Iterable[Path], *facts: str) -> str:
    """Key of files (their content, mode and place below `folder`) and of facts such as flags and versions."""
    digest = hashlib.sha256()
    for file in sorted(files):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder)}\0{file.stat().st_mode & 0o111:o}\0{content}\0".encode())
    for fact in facts:
        digest.update(f"{len(fact)}\0{fact}\0".encode())
    return digest.hexdigest()[:16]


def entry(name: str, key_: str, suffix: str = "") -> Path:
    """Where the entry of that name and key is or will be."""
    return root() / f"{name}-{key_}{suffix}"


def provide(target: Path, make: Callable[[Path], None]) -> Path:
    """`target`, made by `make(temporary path)` first if it is absent. What `make` raises leaves nothing behind."""
    if target.exists():
        os.utime(target)
        return target
    _make_folder(target.parent)
    with locked(target.name):
        if not target.exists():
            temporary = target.with_name(f".{target.name}.part")
            # What somebody who was killed had begun. Nobody else makes it now: we hold the lock.
            _remove(temporary)
            try:
                make(temporary)
                temporary.rename(target)
            finally:
                _remove(temporary)
    _prune(target)
    return target


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of that name: among all processes that use this cache, one at a time. The kernel frees it."""
    locks = root() / ".locks"
    _make_folder(locks)
    with (locks / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(f"waiting for another process, which makes {name}"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        how = "set GRPCBALANCE_LAB_CACHE to a folder that can be written"
        raise LabError(f"the cache cannot be made in {folder} ({error.strerror}): {how}") from error


def _prune(target: Path) -> None:
    """Remove what the new entry replaces: all but the last few used, unless they were used today."""
    name = target.name.rpartition("-")[0]
    others = [path for path in target.parent.glob(f"{name}-*") if path.name.rpartition("-")[0] == name]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT:]:
        if time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
