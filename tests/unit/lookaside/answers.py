"""Pages of replicas, as they answer."""

from __future__ import annotations

from grpcbalance.lookaside.merge import Answers
from grpcbalance.lookaside.page import Client, Downgraded, Page, Ports, Rejected, Service
from grpcbalance.model import Ref

ORDERS = Ref("shop", "orders")
A, B = "10.0.0.1", "10.0.0.2"


def page(
    *pods: str,
    ref: Ref = ORDERS,
    ready: bool = True,
    ports: tuple[bool, bool] | tuple[bool, bool, bool] = (True, True),
    namespace: str = "shop",
    rejected: tuple[tuple[str, str, str], ...] = (),
    downgraded: tuple[tuple[str, str, str], ...] = (),
    known: bool = True,
) -> Page:
    """A page with one service, or (not `known`) none, and these pods of a namespace as clients."""
    clients = [Client(cluster=namespace, node=pod, agent="gRPC Go", version="1.85.0") for pod in pods]
    service = Service(
        namespace=ref.namespace,
        name=ref.name,
        ready=ready,
        clients=tuple(range(len(clients))),
        rejections=tuple(Rejected(cluster=c, node=n, kind="cluster", message=m) for c, n, m in rejected),
        downgrades=tuple(Downgraded(agent=a, version="1.85.0", feature=f, what=w) for a, f, w in downgraded),
    )
    plaintext, tls, mtls = (*ports, False)[:3]
    services = (service,) if known else ()
    return Page(ports=Ports(plaintext=plaintext, tls=tls, mtls=mtls), clients=tuple(clients), services=services)


def answers(**pages: Page | str) -> Answers:
    """What replicas answered: `a` and `b` are their names, a text is what one did instead."""
    by_address = {{"a": A, "b": B}[name]: answer for name, answer in pages.items()}
    return Answers(
        pages={address: answer for address, answer in by_address.items() if isinstance(answer, Page)},
        silent={address: answer for address, answer in by_address.items() if isinstance(answer, str)},
    )
