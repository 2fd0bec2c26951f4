"""Somebody keeps taking our variables away: how often they are put back, and when to give up. Pure.

Each restoring rolls pods, so it is rationed: at most one a minute and three in ten minutes; then the workload is
contested, and there is one try each half hour. A restoring that lasts ten minutes ends it. The account is kept in the
status of the GrpcBalancedServices that the workload names, so that a restart of the operator forgets nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from .api import Reason
from .model import Ref, Workload
from .moments import from_text, to_text
from .optin import Problem

WINDOW: Final = timedelta(minutes=10)
AT_MOST: Final = 3
APART: Final = timedelta(minutes=1)
RETRY: Final = timedelta(minutes=30)
_SKEW: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Account:
    """When a workload's variables were put back, oldest first, and whether that was given up."""

    times: tuple[datetime, ...] = ()
    contested: bool = False

    def until(self, now: datetime) -> Account:
        """The account without times to come, which a clock that jumped or somebody else has written."""
        return replace(self, times=tuple(time for time in self.times if time <= now + _SKEW))

    def lasts(self, now: datetime) -> bool:
        """Whether what was put back last has been in place for so long that the quarrel is over."""
        return not self.times or now - self.times[-1] >= WINDOW

    def with_restoring(self, now: datetime) -> Account:
        """The account with one restoring more; only what still counts is kept."""
        recent = tuple(time for time in self.times if now - time < WINDOW)
        return Account((*recent, now)[-AT_MOST:], self.contested)

    def judged(self, now: datetime) -> Account:
        """Contested from when a fourth restoring within the window would be due."""
        recent = [time for time in self.times if now - time < WINDOW]
        return Account(self.times, self.contested or len(recent) >= AT_MOST)


class Verdict(NamedTuple):
    """Why variables that were taken away are not put back now (None: they are), and seconds until they may be."""

    problem: Problem | None
    wait: float


def verdict(account: Account, workload: Workload, now: datetime) -> Verdict:
    """Whether a workload's variables, taken away once more, may be put back now."""
    if not account.times:
        return Verdict(None, 0.0)
    account = account.judged(now)
    wait = (account.times[-1] + (RETRY if account.contested else APART) - now).total_seconds()
    if wait <= 0:
        return Verdict(None, 0.0)
    who = _who(workload, account)
    if account.contested:
        why = (
            f"{who} keeps taking our variables away; they are put back every half hour from now on. Let it leave env "
            "entries alone that it does not own, take ours into its manifest, or remove the annotation"
        )
        return Verdict(Problem(Reason.CONTESTED, why), wait)
    why = f"{who} took our variables away again; they are put back within a minute"
    return Verdict(Problem(Reason.RESTORING, why), wait)


def _who(workload: Workload, account: Account) -> str:
    """The manager that wrote since we did.

    Who only takes entries away owns nothing, and the API server forgets it: better nobody named than somebody who
    wrote before.
    """
    time, manager = workload.writer
    return manager if time > to_text(account.times[-1]) else "somebody"


def label(workload: Workload, service: Ref) -> str:
    """How status of a service names a workload in its accounts: by kind and name, or, of another namespace, not at all.

    A digest of its uid tells those apart, and nobody who does not know it already can confirm a guess.
    """
    if workload.ref.namespace == service.namespace:
        return f"{workload.ref.kind}/{workload.ref.name}"
    return hashlib.sha256(workload.uid.encode()).hexdigest()[:16]


def stored(status: Mapping[str, Any], name: str) -> Account:
    """The account that a status holds under a label; empty when there is none."""
    for entry in status.get("restored") or ():
        if entry["workload"] == name:
            # What somebody else wrote there is left out.
            times = tuple(filter(None, map(from_text, entry["times"])))
            return Account(times, bool(entry.get("contested")))
    return Account()


def merged(accounts: Iterable[Account]) -> Account:
    """One account of several that tell of the same workload."""
    found = list(accounts)
    times = sorted({time for account in found for time in account.times})
    return Account(tuple(times[-AT_MOST:]), any(account.contested for account in found))


def entry(name: str, account: Account) -> dict[str, Any]:
    """An account as status holds it."""
    made: dict[str, Any] = {"workload": name, "times": [to_text(time, "milliseconds") for time in account.times]}
    if account.contested:
        made["contested"] = True
    return made
