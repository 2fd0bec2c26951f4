"""Thin: reads a cluster, lays manifests over it, lets the forecast decide, and asks for the pods that it concerns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from grpcbalance.balancer import Balancer
from grpcbalance.model import WorkloadRef

from .build import build, rolled
from .forecast import Forecast, Foretold, Unanswered
from .known import Known
from .manifests import Manifest
from .report import Report
from .source import Source, is_ready, selector_text


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `namespace` is for manifests that name none; with `forced` others are refused."""

    manifests: tuple[Manifest, ...]
    namespace: str
    forced: bool
    balancer: Balancer
    with_cluster: bool


async def diff(source: Source, wish: Wish, now: datetime) -> Report:
    """What the operator would do. Raises ManifestError, and SourceError."""
    known = Known(await source.objects())
    known.lay(wish.manifests, wish.namespace, forced=wish.forced)
    forecast = Forecast(known, wish.balancer, now)
    services = forecast.services()
    for question in list(forecast.unanswered()):
        forecast.answer(question, await _answers(source, forecast, question))
    foretold = list(forecast.decide())
    pods = await _pods(source, known, foretold) if wish.with_cluster else None
    return build(forecast, services, foretold, pods, _assumptions(wish))


def _assumptions(wish: Wish) -> tuple[str, ...]:
    if not wish.with_cluster:
        return (
            "no cluster was asked: targets and the look-aside balancer are assumed to serve, servers to be configured "
            "first, and what no file tells of is not there",
        )
    if wish.forced:
        return (f"only namespace {wish.namespace} was asked: what others hold, and labels of namespaces, are unknown",)
    return ()


async def _answers(source: Source, forecast: Forecast, question: Unanswered) -> bool:
    """Whether the Service will have a ready endpoint; assumed where nobody can tell."""
    pods = await source.pods(question.balanced.namespace, selector_text({"matchLabels": dict(question.selector)}))
    return pods is None or any(map(is_ready, pods)) or forecast.comes_up(question)


async def _pods(source: Source, known: Known, foretold: Iterable[Foretold]) -> dict[WorkloadRef, tuple[str, ...]]:
    found = {}
    for item in foretold:
        ref = item.workload.ref
        if rolled(item) and not known.is_new(ref):
            selector = known.workload(ref)["spec"]["selector"]
            pods = await source.pods(ref.namespace, selector_text(selector)) or ()
            found[ref] = tuple(sorted(pod["metadata"]["name"] for pod in pods))
    return found
