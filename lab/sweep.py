"""Removes what a lab leaves on disk and in the cgroup file systems once all of its processes are gone.

Also a program of its own (`python -I sweep.py PIDFD`): waits until the process behind PIDFD has ended, then sweeps.
So a lab whose owner was killed with SIGKILL leaves nothing either. Standard library only, and no other module of
the package: the waiting process shall be small.

A lab is dead when nobody holds the lock of its folder; its first process holds it. Folders of living labs, and
whatever carries another name, are never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

# One fixed place for all labs of a machine, TMPDIR or not, so that each start finds what others left. On disk:
# container file systems live below it. Short: socket paths below it may have at most 107 bytes.
RUN_ROOT = Path("/var/tmp/grpcbalance-lab")  # noqa: S108 - created with mode 0700 and owned by root, see prepare()
LOCK = "lock"
# Ends the name of a folder that is being removed: who does it may be killed when its lock is gone and the rest is not.
_DEAD = ".dead"

_DEADLINE = 20.0
_QUIET = 3.0


def prepare() -> None:
    """Create the folder of all labs. Raises PermissionError when it belongs to somebody else."""
    RUN_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = RUN_ROOT.lstat()
    if status.st_uid != os.geteuid() or not os.path.isdir(RUN_ROOT) or RUN_ROOT.is_symlink():
        raise PermissionError(f"{RUN_ROOT} belongs to another user: remove it")


def cgroup_name(lab: str) -> str:
    """Name of a lab's folder in each cgroup hierarchy."""
    return f"grpcbalance-lab-{lab}"


def cgroup_mounts(mountinfo: str) -> list[Path]:
    """Where cgroup hierarchies are mounted, of version 1 and 2, from the text of /proc/self/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ")[0] in ("cgroup", "cgroup2"):
            found.append(Path(before.split(" ")[4]))
    return found


def cgroup_folders(lab: str) -> list[Path]:
    """The folders that a lab has in the cgroup hierarchies now."""
    mounts = cgroup_mounts(Path("/proc/self/mountinfo").read_text())
    return [folder for mount in mounts if (folder := mount / cgroup_name(lab)).is_dir()]


def make_cgroups(lab: str) -> list[Path]:
    """Make a lab's folder in each cgroup hierarchy, fit to hold processes. Raises OSError."""
    folders = []
    for mount in cgroup_mounts(Path("/proc/self/mountinfo").read_text()):
        folder = mount / cgroup_name(lab)
        _offer_controllers(mount)
        folder.mkdir()
        _inherit_cpuset(folder)
        folders.append(folder)
    return folders


def _inherit_cpuset(folder: Path) -> None:
    """Version 1: a new folder has no processors and no memory, and nothing can run in it until it has."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (folder / name).exists() and (folder / "cgroup.clone_children").exists():
            (folder / name).write_text((folder.parent / name).read_text())


def _offer_controllers(mount: Path) -> None:
    """Version 2: let folders below limit what containers may use. What cannot be had is not needed to run."""
    control = mount / "cgroup.subtree_control"
    if control.exists():
        for controller in (mount / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                control.write_text(f"+{controller}")


def remove(lab: str, deadline: float = _DEADLINE) -> None:
    """Remove the cgroup folders and the run folder of a dead lab.

    Its processes may still be ending: tries again until `deadline` seconds have passed, then raises TimeoutError.
    """
    end = time.monotonic() + deadline
    while left := [folder for folder in cgroup_folders(lab) if not _remove_cgroup(folder)]:
        if time.monotonic() > end:
            raise TimeoutError(f"cgroup folders still in use after {deadline:g} s: {', '.join(map(str, left))}")
        time.sleep(0.02)
    dead = RUN_ROOT / f"{lab}{_DEAD}"
    with contextlib.suppress(FileNotFoundError):  # somebody else removes it too
        (RUN_ROOT / lab).rename(dead)
    while dead.exists():
        shutil.rmtree(dead, ignore_errors=time.monotonic() <= end)


def _remove_cgroup(folder: Path) -> bool:
    """Remove one folder with all below it; whether it is gone."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError:
            _kill_members(Path(path))
            return False
    return True


def _kill_members(folder: Path) -> None:
    """SIGKILL to what is left in a dead lab's cgroup."""
    try:
        members = [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return
    for pid in members:
        try:
            # A process of a PID namespace that we do not see counts as 0, which would mean our own group.
            if pid > 0:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def claim(lab: str) -> int:
    """Make the folder of a new lab, and hold its lock: the file descriptor to pass on to its first process."""
    prepare()
    folder = RUN_ROOT / lab
    folder.mkdir(mode=0o700)
    # Locked before it has its name: nobody ever sees it without its holder.
    unnamed = folder / f"{LOCK}.new"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / LOCK)
    return lock


def is_dead(folder: Path) -> bool:
    """Whether nobody holds the lock of a lab's folder. One that has no lock yet is being made by a living owner."""
    if folder.name.endswith(_DEAD):
        return True
    try:
        with (folder / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    return True


def sweep() -> list[str]:
    """Remove the remains of all dead labs; their ids."""
    if not RUN_ROOT.is_dir():
        return []
    dead = [folder.name.removesuffix(_DEAD) for folder in RUN_ROOT.iterdir() if folder.is_dir() and is_dead(folder)]
    for lab in dead:
        remove(lab)
    return dead


def main() -> None:
    """Wait for the end of the process behind the file descriptor in argv[1], then sweep until all is quiet."""
    watched = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    select.select([watched], [], [])
    end = time.monotonic() + _QUIET
    while time.monotonic() < end:
        # The first process of a lab lets go of its lock a little after its owner's end.
        if sweep():
            end = time.monotonic() + _QUIET
        time.sleep(0.05)


if __name__ == "__main__":
    main()
