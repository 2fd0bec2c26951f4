"""Doing: keep account of variables that somebody takes away, over restarts too; `contest` is what decides."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from grpcbalance.assess import tells_of
from grpcbalance.contest import WINDOW, Account, Verdict, entry, label, merged, stored, verdict
from grpcbalance.model import Ref, StatusKey, Workload, WorkloadRef
from grpcbalance.optin import read_opt_in
from grpcbalance.plan import ANYTHING
from grpcbalance.recent import Recent
from grpcbalance.told import was_configured

from .context import Context

# How soon it is looked whether status tells of a restoring by now, and when it is no longer waited for.
_TOLD_AGAIN: Final = 0.5
_TOLD_WITHIN: Final = 15.0


class Contests:
    """Accounts by workload. A restoring stands in status before it is done, so that a crash cannot forget it."""

    def __init__(self, context: Context) -> None:
        self._c = context
        # workload -> its uid, and fingerprint of what the template carried when it was last as wanted; kept when it is
        # gone, since one that is made anew under its name is no quarrel.
        self._carried: Recent[WorkloadRef, tuple[str, str]] = Recent()
        # Kept when it is gone, too: our values may be put back into it.
        self._accounts: Recent[WorkloadRef, Account] = Recent()
        # Restorings that are in an account but not done yet, and since when they wait to be told in status.
        self._intended: dict[WorkloadRef, tuple[datetime, float]] = {}
        # The last restoring of quarrels that are over: status may still tell of it.
        self._over: Recent[WorkloadRef, datetime] = Recent()

    def carried(self, workload: Workload) -> str | None:
        """Fingerprint of what its template had when that was all that was wanted; None when that is not known."""
        uid, fingerprint = self._carried.get(workload.ref, ("", ""))
        return fingerprint if uid == workload.uid else None

    def recall(self, workload: Workload) -> bool:
        """After a restart only status tells what it carried before. Answers whether that made a difference."""
        refs = self._services(workload)
        if workload.ref in self._carried or not all(self._was_configured(ref, workload) for ref in refs):
            return False
        self._carried[workload.ref] = workload.uid, ANYTHING
        return bool(refs)

    def _was_configured(self, service: Ref, workload: Workload) -> bool:
        status, state = self._status(service), self._c.assessor().state(service)
        if self._stored(service, workload).times:
            return True
        balanced = self._c.view.balanced.get(service)
        if balanced is None or state is None or not tells_of(status, balanced, state.resolution):
            return False
        return was_configured(status, service.namespace, workload.ref)

    def verdict(self, workload: Workload) -> Verdict:
        """Whether variables that were taken away may be put back now."""
        if workload.ref in self._intended:
            return Verdict(None, 0.0)
        return verdict(self._account(workload), workload, self._c.clock.now())

    def _account(self, workload: Workload) -> Account:
        ref = workload.ref
        told = (self._stored(service, workload) for service in self._services(workload))
        found = merged([self._accounts.get(ref, Account()), *told]).until(self._c.clock.now())
        over = ref in self._over and (not found.times or found.times[-1] <= self._over[ref])
        return Account() if over else found

    def _stored(self, service: Ref, workload: Workload) -> Account:
        balanced = self._c.view.balanced.get(service)
        # Hardly any has one: looking for the word is many times cheaper than reading a status.
        if balanced is None or '"restored":' not in balanced.status:
            return Account()
        return stored(json.loads(balanced.status), label(workload, service))

    def _status(self, ref: Ref) -> dict[str, Any]:
        balanced = self._c.view.balanced.get(ref)
        status: dict[str, Any] = json.loads(balanced.status) if balanced else {}
        return status

    def note_carried(self, workload: Workload, fingerprint: str) -> float | None:
        """Its template carries all that is wanted. Answers when to look whether a quarrel is over."""
        self._intended.pop(workload.ref, None)
        self._carried[workload.ref] = workload.uid, fingerprint
        account, now = self._account(workload), self._c.clock.now()
        if not account.times:
            return None
        if not account.lasts(now):
            return (account.times[-1] + WINDOW - now).total_seconds()
        self._over[workload.ref] = account.times[-1]
        self._accounts.pop(workload.ref, None)
        self._tell(workload)
        return None

    def note_contested(self, workload: Workload) -> None:
        """It was given up; that outlasts the window in which restorings are counted."""
        account = self._account(workload)
        if not account.contested:
            self._accounts[workload.ref] = replace(account, contested=True)
            self._tell(workload)

    def before_restoring(self, workload: Workload) -> float | None:
        """Enter a restoring into the account; answers when to come again, or None when it may be done now."""
        now = self._c.clock.now()
        # As it will be read from status.
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        ref, monotonic = workload.ref, self._c.clock.monotonic()
        if ref not in self._intended:
            self._accounts[ref] = self._account(workload).with_restoring(now)
            self._intended[ref] = now, monotonic
            self._tell(workload)
        when, since = self._intended[ref]
        services = [service for service in self._services(workload) if service in self._c.view.balanced]
        told = any(when in self._stored(service, workload).times for service in services)
        # Where there is nothing to tell it in, or that is refused, memory has to do.
        if told or not services or monotonic - since > _TOLD_WITHIN:
            return None
        return _TOLD_AGAIN

    def done(self, workload: Workload) -> None:
        """What was entered last has been done."""
        self._intended.pop(workload.ref, None)

    def _tell(self, workload: Workload) -> None:
        self._c.enqueue([StatusKey(*ref) for ref in self._services(workload)])

    def _services(self, workload: Workload) -> list[Ref]:
        """What it names and is let in by: nobody else's status tells of it."""
        return [ref for ref in read_opt_in(workload).refs if self._c.view.lets_in(ref, workload.ref.namespace)]

    def listed(self, service: Ref, workloads: Iterable[Workload]) -> list[dict[str, Any]]:
        """The accounts that status of a service holds, of its workloads only."""
        accounts = {label(workload, service): self._account(workload) for workload in workloads}
        # There is room for some fifty: those of one's own first.
        names = sorted(accounts, key=lambda name: ("/" not in name, name))
        return [entry(name, accounts[name]) for name in names if accounts[name].times]

    def forget(self, ref: WorkloadRef) -> None:
        """It is gone, or nothing of ours is left in it."""
        self._intended.pop(ref, None)
