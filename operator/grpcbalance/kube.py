"""The only place that talks to the API server: every write, the few live reads, and paged LISTs.

It goes through the official client's raw call: credentials, TLS and the connection pool are the client's, no
models are built. A timeout stands on every call, a token bucket before every write. It decides nothing, and
nothing of the transport leaves it: every failure becomes one of `errors`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import client

from . import __version__
from .answers import failure, parsed
from .bucket import TokenBucket
from .credentials import load_configuration
from .errors import Conflict, Expired, Forbidden, Gone, Invalid, KubeError, Retry
from .kinds import BY_KIND
from .model import Ref, WorkloadRef
from .names import API_VERSION, AUTHORITY, AUTHORITY_KEY, FIELD_MANAGER, KIND, PLURAL
from .observe_workload import hosts_in

__all__ = ["Conflict", "Counts", "Expired", "Gone", "Invalid", "Kube", "KubeError", "Retry"]

logger = logging.getLogger(__name__)

USER_AGENT: Final = f"grpcbalance/{__version__}"
# Field selector of pods that count: evicted ones, say, stay listed for long.
UNFINISHED: Final = "status.phase!=Succeeded,status.phase!=Failed"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_JSON: Final = "application/json"
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"


class Counts(Protocol):
    """What is told about requests; `metrics` is the one that listens."""

    def requested(self, method: str, code: int) -> None:
        """A request was answered with `code`, or not at all (0)."""

    def wrote(self, resource: str, verb: str) -> None:
        """A write was accepted."""

    def event_dropped(self) -> None:
        """An Event could not be posted."""


class _Call(NamedTuple):
    """One request: verb and resource as RBAC names them, and what is sent."""

    verb: str
    resource: str
    method: str
    path: str
    query: Mapping[str, str] = {}
    body: dict[str, Any] | None = None
    content: str = _JSON


class Kube:
    """A connection to the API server, for one event loop. `async with Kube(...) as kube`."""

    def __init__(
        self,
        counts: Counts,
        bucket: TokenBucket,
        kubeconfig: str | None = None,
        pool: int = 16,
        context: str | None = None,
    ) -> None:
        """`kubeconfig`: path, or None for the pod's service account. `pool`: connections at most."""
        self._counts, self._bucket = counts, bucket
        self._kubeconfig, self._pool, self._context = kubeconfig, pool, context
        self._api: client.ApiClient | None = None
        # Called whenever the authorizer said no.
        self.on_forbidden: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Kube:
        configuration = await load_configuration(self._kubeconfig, self._context)
        configuration.connection_pool_maxsize = self._pool
        # By default each request looks for proxies and netrc in the environment, in a thread.
        configuration.client_session_kwargs = {"trust_env": False}
        self._api = client.ApiClient(configuration)
        self._api.user_agent = USER_AGENT
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._api is not None:
            await self._api.close()

    # -- Services ----------------------------------------------------------------------------------------

    async def create_service(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """POST a Service; Conflict when the name is taken."""
        path = f"/api/v1/namespaces/{_part(manifest['metadata']['namespace'])}/services"
        return await self._write(_Call("create", "services", "POST", path, _MANAGER, manifest))

    async def apply_service(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply a Service. With metadata.uid in it: Conflict when that is not the live one's."""
        path = _service_path(Ref(manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
        return await self._write(_Call("patch", "services", "PATCH", path, _FORCED, manifest, _APPLY))

    async def replace_ports(self, ref: Ref, uid: str, ports: list[dict[str, Any]]) -> dict[str, Any]:
        """Make these the only ports of a Service; Conflict when its uid is another. A merge patch replaces lists."""
        body = {"metadata": {"uid": uid}, "spec": {"ports": ports}}
        return await self._write(_Call("patch", "services", "PATCH", _service_path(ref), _MANAGER, body, _MERGE))

    async def get_service(self, ref: Ref) -> dict[str, Any] | None:
        """The live Service, or None."""
        return await self.read("services", _service_path(ref))

    async def delete_service(self, ref: Ref, uid: str, resource_version: str) -> None:
        """Delete exactly this state of a Service; Conflict when it is another now, nothing when it is gone."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        try:
            await self._write(_Call("delete", "services", "DELETE", _service_path(ref), body=options))
        except Gone:
            return

    # -- workloads and status ----------------------------------------------------------------------------

    async def patch_workload(self, ref: WorkloadRef, body: dict[str, Any]) -> dict[str, Any]:
        """Strategic merge patch; Conflict when metadata.resourceVersion in `body` is stale."""
        resource = BY_KIND[ref.kind].plural
        return await self._write(_Call("patch", resource, "PATCH", _workload_path(ref), _MANAGER, body, _STRATEGIC))

    async def apply_status(self, ref: Ref, uid: str, status: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply a GrpcBalancedService's status; Conflict or Gone when that object is no more."""
        path = f"/apis/{API_VERSION}/namespaces/{_part(ref.namespace)}/{PLURAL}/{_part(ref.name)}/status"
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"namespace": ref.namespace, "name": ref.name, "uid": uid},
            "status": status,
        }
        return await self._write(_Call("patch", f"{PLURAL}/status", "PATCH", path, _FORCED, body, _APPLY))

    # -- Events and pods ---------------------------------------------------------------------------------

    async def create_event(self, event: dict[str, Any]) -> None:
        """POST an Event. One that exists says the same; one that cannot be posted is logged, never raised."""
        path = f"/api/v1/namespaces/{_part(event['metadata']['namespace'])}/events"
        try:
            await self._write(_Call("create", "events", "POST", path, _MANAGER, event))
        except Conflict:
            return
        except KubeError as error:
            self._counts.event_dropped()
            logger.warning("Event not posted: %s", error, extra={"resource": "events", "verb": "create"})

    async def hosts_in_use(self, namespace: str | None) -> frozenset[str]:
        """`<service>.<namespace>.svc` names in env of unfinished pods and Jobs, of one namespace or (None) of all.

        Jobs, since one may have no pod at this moment. Expired: ask again.
        """
        hosts: set[str] = set()
        where = f"/namespaces/{_part(namespace)}" if namespace else ""
        async for page in self.pages(f"/api/v1{where}/pods", field_selector=UNFINISHED):
            hosts.update(*(_hosts(pod["spec"]) for pod in page["items"]))
        async for page in self.pages(f"/apis/batch/v1{where}/jobs"):
            hosts.update(*(_hosts(job["spec"]["template"]["spec"]) for job in page["items"] if not _finished(job)))
        return frozenset(hosts)

    async def authority(self, namespace: str) -> str | None:
        """What a namespace's clients know the look-aside balancer by (PEM); see `reconcile.context.Api`."""
        path = f"/api/v1/namespaces/{_part(namespace)}/configmaps/{AUTHORITY}"
        found = await self.read("configmaps", path)
        return None if found is None else str((found.get("data") or {}).get(AUTHORITY_KEY, ""))

    async def serves(self, group: str, version: str, plural: str) -> bool:
        """Whether discovery tells of a kind now; False while that cannot be asked."""
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            found = await self._call(_Call("get", "discovery", "GET", path))
        except KubeError:
            return False
        return any(resource["name"] == plural for resource in found.get("resources") or ())

    async def pages(
        self, path: str, *, label_selector: str = "", field_selector: str = "", limit: int = 500
    ) -> AsyncIterator[dict[str, Any]]:
        """A LIST page by page, each as the server sent it. Expired: what came so far is incomplete, begin anew."""
        query = {"limit": str(limit), "labelSelector": label_selector, "fieldSelector": field_selector, "continue": ""}
        resource = path.rpartition("/")[2]
        while True:
            page = await self._call(_Call("list", resource, "GET", path, query))
            yield page
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return

    async def may(self, verb: str, group: str, resource: str, namespace: str, name: str = "") -> bool:
        """Whether we are allowed something, in a namespace or ("") in all of them. It changes nothing.

        `name` is that of the only object of its kind that is asked about; without it, all of them are.
        """
        kind, _, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": kind, "namespace": namespace}
        attributes |= {"name": name} if name else {}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes | {"subresource": subresource}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await self.ask("create", "selfsubjectaccessreviews", path, body)
        return bool(answer["status"]["allowed"])

    async def ask(self, verb: str, resource: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST a question, such as a review, of which nothing is stored."""
        return await self._call(_Call(verb, resource, "POST", path, body=body))

    async def read(self, resource: str, path: str) -> dict[str, Any] | None:
        """GET one object, None when it is not there."""
        try:
            return await self._call(_Call("get", resource, "GET", path))
        except Gone:
            return None

    # -- one request -------------------------------------------------------------------------------------

    async def _write(self, call: _Call) -> dict[str, Any]:
        await self._bucket.take()
        try:
            answer = await self._call(call)
        except Retry as error:
            if error.after is not None:
                # Who says 429 says it to all of us.
                self._bucket.pause(error.after)
            raise
        if call.resource != "events":
            self._counts.wrote(call.resource, call.verb)
        return answer

    async def _call(self, call: _Call) -> dict[str, Any]:
        if self._api is None:
            raise RuntimeError("not connected: use `async with`")
        query = urlencode({name: value for name, value in call.query.items() if value})
        what, code = f"{call.verb} {call.resource}", 0
        try:
            request = await self._api.param_serialize(
                call.method,
                f"{call.path}?{query}" if query else call.path,
                header_params={"Content-Type": call.content, "Accept": _JSON},
                body=call.body,
                auth_settings=["BearerToken"],
            )
            response = await self._api.call_api(*request, _request_timeout=_TIMEOUT)
            text = await response.read()
            code = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retry(None, f"{what}: {type(error).__name__} {error}") from error
        finally:
            self._counts.requested(call.method, code)
        if code >= 300:
            refused = failure(what, code, text, response.headers.get("Retry-After"))
            if isinstance(refused, Forbidden):
                self.on_forbidden()
            raise refused
        return parsed(what, text)


_MANAGER: Final = {"fieldManager": FIELD_MANAGER}
_FORCED: Final = {"fieldManager": FIELD_MANAGER, "force": "true"}


def _hosts(spec: Mapping[str, Any]) -> Iterator[str]:
    return hosts_in([*spec.get("containers", ()), *spec.get("initContainers", ())])


def _finished(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _part(name: str) -> str:
    return quote(name, safe="")


def _service_path(ref: Ref) -> str:
    return f"/api/v1/namespaces/{_part(ref.namespace)}/services/{_part(ref.name)}"


def _workload_path(ref: WorkloadRef) -> str:
    kind = BY_KIND[ref.kind]
    return f"/apis/{kind.api_version}/namespaces/{_part(ref.namespace)}/{kind.plural}/{_part(ref.name)}"
