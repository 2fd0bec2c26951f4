"""Doing: the headless Services of one GrpcBalancedService."""

from __future__ import annotations

from grpcbalance.api import Reason
from grpcbalance.desired import Resolution, resolve
from grpcbalance.events import Note, regarding_workload
from grpcbalance.kube import Conflict, Gone, Invalid
from grpcbalance.model import Ref, ServiceSnapshot, StatusKey, WorkloadRef
from grpcbalance.observe import host_of, service
from grpcbalance.optin import Problem
from grpcbalance.retire import Action, Apply, Create, Delete, ReplacePorts, plan_services

from .context import CONFLICT_AGAIN, REFUSED_AGAIN, Context


class Services:
    """Makes, repairs, marks and removes headless Services as `retire.plan_services` says."""

    def __init__(self, context: Context) -> None:
        self._c = context
        # What was refused, and when it may be sent again; anything else may be at once.
        self._refused: dict[Ref, tuple[tuple[Action, ...], float]] = {}

    async def __call__(self, ref: Ref) -> float | None:
        """Bring the Services of one GrpcBalancedService, present or gone, to what they should be."""
        snapshot = self._c.view.snapshot(ref)
        plan = plan_services(snapshot, self._resolution(snapshot), self._c.clock.now(), self._c.settings.retire_after)
        for stranded in plan.stranded:
            await self._tell_stranded(stranded, ref)
        refused, due = self._refused.get(ref, ((), 0.0))
        wait = due - self._c.clock.monotonic()
        if plan.actions and refused == plan.actions and wait > 0:
            # Nothing that happened meanwhile changes what would be sent: events must not hurry it.
            return wait
        self._refused.pop(ref, None)
        try:
            for action in plan.actions:
                await self._act(action)
        except Conflict:
            # Somebody was there first; the watch is about to tell who.
            return CONFLICT_AGAIN
        except (Invalid, Gone) as refusal:
            self._c.service_refusals[ref] = str(refusal)
            self._refused[ref] = plan.actions, self._c.clock.monotonic() + REFUSED_AGAIN
            self._c.enqueue([StatusKey(*ref)])
            return REFUSED_AGAIN
        if self._c.service_refusals.pop(ref, None) is not None:
            self._c.enqueue([StatusKey(*ref)])
        return plan.again

    def _resolution(self, snapshot: ServiceSnapshot) -> Resolution | None:
        if snapshot.balanced is None:
            return None
        resolution = resolve(snapshot, snapshot.balanced, self._c.settings.cluster_domain)
        return None if isinstance(resolution, Problem) else resolution

    async def _act(self, action: Action) -> None:
        if isinstance(action, Create):
            self._c.take("services", await self._c.api.create_service(action.manifest))
        elif isinstance(action, Apply):
            self._c.take("services", await self._c.api.apply_service(action.manifest))
        elif isinstance(action, ReplacePorts):
            ref, uid = action.service.ref, action.service.uid
            self._c.take("services", await self._c.api.replace_ports(ref, uid, action.ports))
        else:
            await self._delete(action)

    async def _delete(self, action: Delete) -> None:
        """Delete a Service that no template names, after a live look at it and at pods that still may."""
        ref = action.service.ref
        if await self._c.api.pods_mentioning(ref.namespace, host_of(action.service)):
            self._c.take("services", await self._c.api.apply_service(action.again))
            return
        live = await self._c.api.get_service(ref)
        if live is None or service(live) != action.service:
            # What was decided about is no longer there; the watch brings what is.
            raise Conflict(f"Service {ref} changed")
        await self._c.api.delete_service(ref, action.service.uid, action.service.resource_version)

    async def _tell_stranded(self, ref: WorkloadRef, gone: Ref) -> None:
        workload = self._c.view.workloads.get(ref)
        if workload is not None:
            text = (
                f"GrpcBalancedService {gone.name} is gone; its headless Service stays while this uses it. "
                "Create the object again, or remove our annotations"
            )
            note = Note(Reason.STILL_REFERENCED, text, warning=True)
            await self._c.tell(regarding_workload(workload), str(gone), note)
