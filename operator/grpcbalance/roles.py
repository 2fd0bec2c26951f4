"""The roles of one workload: which containers get which values of which service, or what stands in the way.

Pure. `read_roles` looks at one role after the other; `plan` merges them into one change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from . import inject, migration
from .api import Reason
from .desired import Resolution, resolve, serving
from .failures import failed_rollouts
from .inject import Entry, choose_containers
from .model import Ref, Role, ServiceSnapshot, Workload
from .names import xds_host
from .optin import OptIn, Problem, read_opt_in
from .situation import RoleState, ServiceState, Situation
from .values import Value, digest


def service_state(snapshot: ServiceSnapshot, cluster_domain: str) -> ServiceState | None:
    """What workloads must know of a service; None when it is gone."""
    if snapshot.balanced is None:
        return None
    resolution = resolve(snapshot, snapshot.balanced, cluster_domain)
    if isinstance(resolution, Problem):
        return ServiceState(snapshot.ref, resolution, serving=False, servers_settled=False)
    return ServiceState(
        ref=snapshot.ref,
        resolution=resolution,
        serving=serving(snapshot, resolution),
        failed=failed_rollouts(snapshot),
        seen=snapshot.seen,
        unconnected=f'"reason":"{Reason.XDS_NOT_CONNECTED}"' in snapshot.balanced.status,
        servers_settled=all(_server_settled(server, resolution) for server in snapshot.servers),
    )


def _server_settled(workload: Workload, resolution: Resolution) -> bool:
    """Nothing more is to be waited for: configured and rolled out, or only a person can help."""
    opt_in = read_opt_in(workload)
    part = _server_part(workload, opt_in, resolution, Ref("", ""))
    if part.problem is not None or opt_in.problems or workload.controller is not None:
        return True
    unfinished = _is_due(workload, part) or workload.rollout.unfinished
    return inject.duplicates(workload, part.wanted) != () or not unfinished


def _is_due(workload: Workload, part: RoleState) -> bool:
    """Whether a value of this role is yet to be written."""
    return any(state in (Entry.ABSENT, Entry.STALE) for state in inject.entries(workload, part.wanted).values())


def read_roles(
    workload: Workload, opt_in: OptIn, states: Mapping[Ref, ServiceState | None], situation: Situation
) -> list[RoleState]:
    """Every role that the annotations ask for, server first. A role with a problem is not acted on."""
    roles = [_checked(role, workload) for role in _roles(workload, opt_in, states, situation)]
    return _together(_without_clashes(roles), workload)


def _roles(
    workload: Workload, opt_in: OptIn, states: Mapping[Ref, ServiceState | None], situation: Situation
) -> list[RoleState]:
    named = [(Role.SERVER, opt_in.server)] if opt_in.server else []
    roles: list[tuple[Role, Ref]] = [*named, *((Role.CLIENT, ref) for ref in opt_in.clients)]
    parts: list[RoleState] = []
    for role, ref in roles:
        problem = _problem(workload, opt_in, ref, states.get(ref), situation.one_namespace)
        if problem is not None:
            parts.append(RoleState(ref, role, problem=problem))
            continue
        state = states[ref]
        if state is None or isinstance(state.resolution, Problem):
            raise AssertionError("a missing or unresolved service is a problem")
        if role is Role.SERVER:
            parts.append(_server_part(workload, opt_in, state.resolution, ref))
        elif state.returning:
            parts.append(_returning_part(state, situation.one_namespace))
        else:
            rolls_anyway = any(not inject.carries(workload, p.wanted) for p in parts if p.role is Role.SERVER)
            waited = replace(situation, waited=situation.server_wait) if rolls_anyway else situation
            parts.append(_client_part(workload, opt_in, state, state.resolution, waited))
    return parts


def _problem(
    workload: Workload, opt_in: OptIn, ref: Ref, state: ServiceState | None, one_namespace: bool
) -> Problem | None:
    """What blocks a role before its values are looked at."""
    if opt_in.problems:
        return opt_in.problems[0]
    if workload.controller is not None:
        return Problem(
            Reason.CONTROLLED,
            f"it belongs to {workload.controller}, which would undo the change; annotate that",
        )
    abroad = ref.namespace != workload.ref.namespace
    if state is None and abroad:
        return _not_allowed(ref, one_namespace)
    if state is None:
        return Problem(Reason.SERVICE_MISSING, f"there is no GrpcBalancedService {ref.name!r} in this namespace")
    if isinstance(state.resolution, Problem) and abroad:
        # Its message may name what only its own namespace may see.
        return Problem(Reason.NOT_ACCEPTED, f"{ref} is not accepted; ask its owner")
    if isinstance(state.resolution, Problem):
        return Problem(Reason.NOT_ACCEPTED, f"{ref.name} is not accepted: {state.resolution.message}")
    return None


def _not_allowed(ref: Ref, one_namespace: bool) -> Problem:
    """The same words whether it is missing or lets nobody in: neither may be learnt from here."""
    why = f"no GrpcBalancedService {ref} lets this namespace in; its owner may, by spec.allowedClients"
    if one_namespace:
        why = f"{ref} is in another namespace, and this operator works in one namespace only"
    return Problem(Reason.NAMESPACE_NOT_ALLOWED, why)


def _server_part(workload: Workload, opt_in: OptIn, resolution: Resolution, ref: Ref) -> RoleState:
    if resolution.unmanaged:
        return RoleState(ref, Role.SERVER, variables={})
    chosen = choose_containers(workload, opt_in.containers, Role.SERVER, resolution.port)
    if isinstance(chosen, Problem):
        return RoleState(ref, Role.SERVER, problem=chosen)
    return RoleState(ref, Role.SERVER, chosen, resolution.server_variables)


def _returning_part(state: ServiceState, one_namespace: bool) -> RoleState:
    containers, target = tuple(state.returning), next(iter(state.returning.values()))
    why = _not_allowed(state.ref, one_namespace)
    return RoleState(state.ref, Role.CLIENT, containers, target, configured=why, partial=True)


def _client_part(
    workload: Workload, opt_in: OptIn, state: ServiceState, resolution: Resolution, situation: Situation
) -> RoleState:
    chosen = choose_containers(workload, opt_in.containers, Role.CLIENT, resolution.port)
    if isinstance(chosen, Problem):
        return RoleState(state.ref, Role.CLIENT, problem=chosen)
    move = migration.move(workload, opt_in, resolution, situation.balancer)
    if isinstance(move, migration.Move):
        told = migration.unserved(state.seen, plaintext=move.plaintext)
        part = RoleState(state.ref, Role.CLIENT, chosen, move.values, configured=told)
        problem = migration.barred(workload, part.wanted)
        return replace(part, problem=problem or _awaited(workload, part, state, resolution, situation, move))
    part = RoleState(state.ref, Role.CLIENT, chosen, resolution.client_variables, configured=move)
    return replace(part, problem=_awaited(workload, part, state, resolution, situation))


def _awaited(
    workload: Workload,
    part: RoleState,
    state: ServiceState,
    resolution: Resolution,
    situation: Situation,
    move: migration.Move | None = None,
) -> Problem | None:
    """What a client waits for before its values are written."""
    if not _is_due(workload, part) or _points_there(workload, part, resolution):
        # Where the user's own values stand in place of ours there is nothing to wait for.
        return None
    if not resolution.port_confirmed:
        why = f"no annotated server declares port {resolution.port}; annotate the server, or use a serviceRef"
        return Problem(Reason.PORT_NOT_CONFIRMED, why)
    if not state.serving:
        return Problem(Reason.TARGET_NOT_SERVING, f"{_target(part, resolution)} has no ready endpoint yet")
    if not state.servers_settled and situation.waited < situation.server_wait:
        why = "servers are configured first, so that new pods will be noticed"
        return Problem(Reason.WAITING_FOR_SERVERS, why)
    if move is None:
        return None
    new = xds_host(state.ref.name, state.ref.namespace) not in workload.hosts
    return migration.awaited(state.seen, plaintext=move.plaintext, held=state.unconnected and new)


def _target(part: RoleState, resolution: Resolution) -> str:
    return str((part.variables or {}).get(resolution.target_variable, ""))


def _points_there(workload: Workload, part: RoleState, resolution: Resolution) -> bool:
    """Whether every container already calls the target in the same way: other values need no waiting."""
    way = (resolution.target_variable, *migration.SHARED)
    wanted = {(name, digest(value)) for name, value in (part.variables or {}).items() if name in way}
    containers = (workload.container(name) for name in part.containers)
    return all(found is not None and wanted <= {(v.name, v.digest) for v in found.env} for found in containers)


def _together(parts: list[RoleState], workload: Workload) -> list[RoleState]:
    """A container has one bootstrap for all services that it calls: it changes for all of them, or not yet."""
    blocked = next((p for p in parts if p.problem and xds_host(p.ref.name, p.ref.namespace) in workload.hosts), None)
    if blocked is None:
        return parts
    why = Problem(Reason.PENDING, f"waits for {blocked.ref.name}, which the same containers call by xDS in another way")
    return [replace(p, problem=why) if p.problem is None and _changes_the_way(workload, p) else p for p in parts]


def _changes_the_way(workload: Workload, part: RoleState) -> bool:
    states = inject.entries(workload, part.wanted)
    return any(state is Entry.STALE for (_, name), state in states.items() if name in migration.SHARED)


def _checked(part: RoleState, workload: Workload) -> RoleState:
    """Refuse a role whose variables stand twice in a container: a merge could not tell them apart."""
    if part.problem is not None:
        return part
    doubled = inject.duplicates(workload, part.wanted)
    if not doubled:
        return part
    container, variable = doubled[0]
    why = f"{variable} stands twice in container {container}; remove one of them"
    return replace(part, problem=Problem(Reason.DUPLICATE_ENV, why))


def _seen_from(service: Ref, other: Ref) -> str:
    return other.name if other.namespace == service.namespace else str(other)


def _without_clashes(parts: list[RoleState]) -> list[RoleState]:
    """Refuse every role that wants another value than another one under the same name in the same container."""
    users: dict[tuple[str, str], list[tuple[RoleState, Value]]] = {}
    for part in parts:
        for container, variables in part.wanted.items():
            for variable, value in variables.items():
                users.setdefault((container, variable), []).append((part, value))
    # Equal values, such as the bootstrap of all clients on xDS, are no clash.
    contested = {key: [part for part, _ in by] for key, by in users.items() if len({value for _, value in by}) > 1}
    result = []
    for part in parts:
        shared = next((key for key, by in contested.items() if part in by), None)
        if shared is not None and part.problem is None:
            others = ", ".join(_seen_from(part.ref, other.ref) for other in contested[shared] if other is not part)
            why = f"{shared[1]} would also be set for {others}; rename one of them in the object's env"
            part = replace(part, problem=Problem(Reason.VARIABLE_CLASH, why))  # noqa: PLW2901  # the list holds what became of it
        result.append(part)
    return result
