"""From what each replica of the look-aside balancer answered to what is so of each service. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from grpcbalance.api import MAX_DOWNGRADES
from grpcbalance.model import Ref

from .libraries import shown
from .page import MAX_REJECTIONS, Page, Service
from .seen import Downgrade, Node, Rejection, Seen

# The fix when there is no replica that could be asked: from here the two cannot be told apart.
NONE_READY: Final = (
    "either it is not installed (kubectl apply -k manifests/xds), or its pods are not ready: kubectl describe "
    "tells why; without Secret grpcbalance-xds-tls, for instance, they do not start"
)


@dataclass(frozen=True, slots=True)
class Answers:
    """One look at all replicas, by address: `silent` has those without a page, and what they did instead.

    `unresolved` says, in a sentence that names the fix, why no address is known.
    """

    pages: Mapping[str, Page] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    unresolved: str = ""


def merge(answers: Answers, refs: Iterable[Ref]) -> dict[Ref, Seen]:
    """What is so of these services. Only what every replica says can be relied on: a client may be at any of them."""
    general = trouble(answers)
    by_address = {
        address: (page, {Ref(service.namespace, service.name): service for service in page.services})
        for address, page in sorted(answers.pages.items())
    }
    plaintext, tls = _ports(answers)
    found = {}
    for ref in refs:
        told = [(page, known[ref]) for page, known in by_address.values() if ref in known]
        found[ref] = Seen(
            problem=general or _of_service({address: known.get(ref) for address, (_, known) in by_address.items()}),
            plaintext=plaintext,
            tls=tls,
            connected=frozenset(
                Node(page.clients[number].cluster, page.clients[number].node)
                for page, service in told
                for number in service.clients
            ),
            rejections=tuple(sorted({one for _, service in told for one in _rejections(service)})[:MAX_REJECTIONS]),
            downgrades=tuple(sorted({one for _, service in told for one in _downgrades(service)})[:MAX_DOWNGRADES]),
        )
    return found


def trouble(answers: Answers) -> str:
    """What is wrong for every service, in a sentence; empty when all replicas answer and serve."""
    if answers.unresolved:
        return answers.unresolved
    if answers.silent:
        address, why = min(answers.silent.items())
        return f"replica {address} of the look-aside balancer {why}{_more(len(answers.silent))}"
    if not answers.pages:
        return f"no replica of the look-aside balancer is known; {NONE_READY}"
    ports = {address: page.ports for address, page in sorted(answers.pages.items())}
    mute = [address for address, one in ports.items() if not (one.plaintext or one.tls or one.mtls)]
    if mute:
        return f"replica {mute[0]} of the look-aside balancer serves no clients{_more(len(mute))}; see its log"
    proving = [address for address, one in ports.items() if not (one.plaintext or one.tls)]
    if proving:
        text = f"replica {proving[0]} of the look-aside balancer serves over mutual TLS only{_more(len(proving))}"
        return f"{text}; the operator moves nobody over that: let it serve in plain text too, or over TLS"
    if not any(_ports(answers)):
        return "replicas of the look-aside balancer serve clients in different ways; wait until all are of one manifest"
    return ""


def _ports(answers: Answers) -> tuple[bool, bool]:
    """Whether all serve in plain text, and over TLS."""
    ports = [page.ports for page in answers.pages.values()]
    return bool(ports) and all(one.plaintext for one in ports), bool(ports) and all(one.tls for one in ports)


def _of_service(told: Mapping[str, Service | None]) -> str:
    unknown = [address for address, service in told.items() if service is None]
    if unknown:
        text = f"replica {unknown[0]} of the look-aside balancer does not know the service{_more(len(unknown))}"
        return f"{text}; that takes moments, unless it may not see this namespace: see its log"
    idle = [address for address, service in told.items() if service is not None and not service.ready]
    if idle:
        text = f"replica {idle[0]} of the look-aside balancer knows no ready endpoint{_more(len(idle))}"
        return f"{text}; bring a server up"
    return ""


def _more(count: int) -> str:
    return f", nor do {count - 1} more" if count > 1 else ""


def _rejections(service: Service) -> Iterator[Rejection]:
    for one in service.rejections:
        yield Rejection(Node(one.cluster, one.node), one.kind, one.message)


def _downgrades(service: Service) -> Iterator[Downgrade]:
    for one in service.downgrades:
        yield Downgrade(shown(one.agent, one.version), one.feature, one.what)
