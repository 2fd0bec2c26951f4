"""A cluster as the source of the report: one list of objects, and a look at each replica of the look-aside balancer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from pydantic import ValidationError

from grpcbalance.bucket import TokenBucket
from grpcbalance.credentials import CredentialsError
from grpcbalance.errors import Forbidden, Gone, Invalid, KubeError
from grpcbalance.kube import UNFINISHED, Kube
from grpcbalance.lookaside.connected import PATH, Page
from grpcbalance.lookaside.reading import PORT
from grpcbalance.names import API_VERSION, KIND, PLURAL
from grpcbalance.uncounted import Uncounted

from .build import build, on_xds
from .replicas import asked, trouble
from .report import Report

_SELECTOR: Final = "app.kubernetes.io/name=grpcbalance,app.kubernetes.io/component=xds"


class OverviewError(Exception):
    """The cluster could not be looked at; the message says what was asked for and what came instead."""


class Question(NamedTuple):
    """What was asked for: an object, or all of a namespace, or (None) of all. `balancer` is its namespace."""

    namespace: str | None
    name: str | None
    balancer: str


async def ask(kubeconfig: str | None, context: str | None, question: Question) -> Report:
    """How objects stand. Raises OverviewError."""
    try:
        # It never writes, so the bucket is of no account.
        async with Kube(Uncounted(), TokenBucket(1, 1), kubeconfig, context=context) as kube:
            return await look(kube, question)
    except CredentialsError as error:
        raise OverviewError(str(error)) from error
    except Invalid as error:
        raise OverviewError(f"{error} (needed: list of {PLURAL})") from error
    except KubeError as error:
        raise OverviewError(f"{error} (does kubectl reach the cluster?)") from error


async def look(kube: Kube, question: Question) -> Report:
    """The report, from a cluster that is connected to. Raises OverviewError and kube.KubeError."""
    objects = await _objects(kube, question)
    if question.name and not objects:
        raise OverviewError(f"{KIND} {question.namespace}/{question.name} does not exist")
    if not any(map(on_xds, objects)):
        return build(objects, None, ())
    try:
        pages, notes = await _pages(kube, question.balancer)
    except KubeError as error:
        return build(objects, None, [f"who is connected is not shown: {error}"])
    return build(objects, pages or None, notes)


async def _objects(kube: Kube, question: Question) -> list[Mapping[str, Any]]:
    where = f"/namespaces/{quote(question.namespace, safe='')}" if question.namespace else ""
    only = f"metadata.name={question.name}" if question.name else ""
    found: list[Mapping[str, Any]] = []
    try:
        async for page in kube.pages(f"/apis/{API_VERSION}{where}/{PLURAL}", field_selector=only):
            found += page["items"]
    except Gone as error:
        raise OverviewError(f"{KIND} is not known here: kubectl apply -k crds") from error
    return found


async def _pages(kube: Kube, namespace: str) -> tuple[dict[str, Page], list[str]]:
    """Of every replica that runs, and what could not be read or is not ready. Raises kube.KubeError without a list."""
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
    pods: list[Mapping[str, Any]] = []
    async for page in kube.pages(path, label_selector=_SELECTOR, field_selector=UNFINISHED):
        pods += page["items"]
    names = asked(pods)
    told = await asyncio.gather(*(_page(kube, path, name) for name in names))
    pages = {name: one for name, one in zip(names, told, strict=True) if isinstance(one, Page)}
    # Several have mostly the same to say.
    return pages, [*trouble(pods, namespace), *dict.fromkeys(one for one in told if isinstance(one, str))]


async def _page(kube: Kube, path: str, name: str) -> Page | str:
    """Through the API server's proxy, with the permissions of whoever asks."""
    where = f"{path}/{quote(name, safe='')}:{PORT}/proxy{PATH}"
    try:
        told = await kube.read("pods/proxy", where)
        return f"replica {name} of the look-aside balancer has gone" if told is None else Page.model_validate(told)
    except Forbidden as error:
        return f"who is connected is not shown: {error}"
    except KubeError as error:
        return f"replica {name} of the look-aside balancer cannot be read: {error}"
    except ValidationError:
        return f"replica {name} of the look-aside balancer tells what this version cannot read"
