"""Doing: the headless Services of one GrpcBalancedService."""

from __future__ import annotations

import asyncio

from grpcbalance.api import Reason
from grpcbalance.desired import Resolution, resolve
from grpcbalance.errors import WouldWrite
from grpcbalance.events import Note, regarding_workload
from grpcbalance.kube import Conflict, Gone, Invalid
from grpcbalance.model import Ref, Role, ServiceKey, ServiceSnapshot, StatusKey, WorkloadRef
from grpcbalance.observe import hosts_of, service
from grpcbalance.optin import Problem, named_roles
from grpcbalance.retire import Action, Apply, Create, Delete, ReplacePorts, ServicePlan, plan_services

from .context import CONFLICT_AGAIN, REFUSED_AGAIN, Context


class Services:
    """Makes, repairs, marks and removes headless Services as `retire.plan_services` says."""

    def __init__(self, context: Context) -> None:
        self._c = context
        # What was refused, and when it may be sent again; anything else may be at once.
        self._refused: dict[Ref, tuple[tuple[Action, ...], float]] = {}
        # Hosts in use, when that look began, and whether one is being taken.
        self._hosts: frozenset[str] = frozenset()
        self._looked = float("-inf")
        self._looking = asyncio.Lock()

    async def __call__(self, ref: Ref) -> float | None:
        """Bring the Services of one GrpcBalancedService, present or gone, to what they should be."""
        plan = self._plan(ref)
        for stranded in plan.stranded:
            await self._tell_stranded(stranded, ref)
        refused, due = self._refused.get(ref, ((), 0.0))
        wait = due - self._c.clock.monotonic()
        if plan.actions and refused == plan.actions and wait > 0:
            # Nothing that happened meanwhile changes what would be sent: events must not hurry it.
            return wait
        self._refused.pop(ref, None)
        try:
            await self._act_all(ref, plan.actions)
        except Conflict:
            # Somebody was there first; the watch is about to tell who.
            return CONFLICT_AGAIN
        except (Invalid, Gone) as refusal:
            if not isinstance(refusal, WouldWrite):
                self._c.service_refusals[ref] = str(refusal)
            self._refused[ref] = plan.actions, self._c.clock.monotonic() + REFUSED_AGAIN
            self._c.enqueue([StatusKey(*ref)])
            return REFUSED_AGAIN
        if self._c.service_refusals.pop(ref, None) is not None:
            self._c.enqueue([StatusKey(*ref)])
        return plan.again

    def forgive(self) -> list[ServiceKey]:
        """What was refused may be sent again at once, by these keys."""
        keys = [ServiceKey(*ref) for ref in self._refused]
        self._refused.clear()
        return keys

    def _plan(self, ref: Ref) -> ServicePlan:
        snapshot = self._c.view.snapshot(ref)
        return plan_services(snapshot, self._resolution(snapshot), self._c.clock.now(), self._c.settings.retire_after)

    def _resolution(self, snapshot: ServiceSnapshot) -> Resolution | None:
        if snapshot.balanced is None:
            return None
        resolution = resolve(snapshot, snapshot.balanced, self._c.settings.cluster_domain)
        return None if isinstance(resolution, Problem) else resolution

    async def _act_all(self, ref: Ref, actions: tuple[Action, ...]) -> None:
        kept_back: WouldWrite | None = None
        for action in actions:
            try:
                await self._act(ref, action)
            except WouldWrite as error:
                # No reason not to tell of the others.
                kept_back = error
        if kept_back is not None:
            raise kept_back

    async def _act(self, ref: Ref, action: Action) -> None:
        if isinstance(action, Create):
            self._c.take("services", await self._c.api.create_service(action.manifest))
        elif isinstance(action, Apply):
            self._c.take("services", await self._c.api.apply_service(action.manifest))
        elif isinstance(action, ReplacePorts):
            live, uid = action.service.ref, action.service.uid
            self._c.take("services", await self._c.api.replace_ports(live, uid, action.ports))
        else:
            await self._delete(ref, action)

    async def _delete(self, ref: Ref, action: Delete) -> None:
        """Delete a Service that no template names, after a live look at it, and at pods and Jobs that still may."""
        hosts = hosts_of(action.service, orphan=ref not in self._c.view.balanced)
        if not (await self._in_use()).isdisjoint(hosts):
            self._c.take("services", await self._c.api.apply_service(action.again))
            return
        name, live = action.service.ref, await self._c.api.get_service(action.service.ref)
        due = (again.service for again in self._plan(ref).actions if isinstance(again, Delete))
        if live is None or service(live) != action.service or action.service not in due:
            # Meanwhile what was decided about has changed, or is named again.
            raise Conflict(f"Service {name} changed")
        await self._c.api.delete_service(name, action.service.uid, action.service.resource_version)

    async def _in_use(self) -> frozenset[str]:
        """Hosts that running pods and Jobs name, as of now. Looking is dear: one look serves all who wait for it."""
        asked = self._c.clock.monotonic()
        async with self._looking:
            if self._looked < asked:
                began = self._c.clock.monotonic()
                self._hosts = await self._c.api.hosts_in_use(self._c.settings.namespace)
                self._looked = began
            return self._hosts

    async def _tell_stranded(self, ref: WorkloadRef, gone: Ref) -> None:
        workload = self._c.view.workloads.get(ref)
        if workload is None:
            return
        service, remedy = gone.name, "Create the object again"
        if ref.namespace != gone.namespace:
            if not workload.record or gone not in named_roles(workload)[Role.CLIENT]:
                # It names the host, which anybody may; that there was an object is not for it to know.
                return
            service, remedy = str(gone), "Ask its owner to create it again"
        text = (
            f"GrpcBalancedService {service} is gone; its headless Service stays while this uses it. "
            f"{remedy}, or remove our annotations"
        )
        note = Note(Reason.STILL_REFERENCED, text, warning=True)
        await self._c.tell(regarding_workload(workload), str(gone), note)
