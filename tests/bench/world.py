"""The objects of the scale benchmark, written through the API by a few threads."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from lab.install import GBS
from lab.rest import Object, Rest, path
from tests.kit import objects

_THREADS: Final = 12
_PER_NAMESPACE: Final = 250
_FIRST_ADDRESS: Final = int(ipaddress.ip_address("10.128.0.1"))


@dataclass(frozen=True, slots=True)
class Size:
    """How large the world is. Each service has a server, a client, and one slice with its endpoints."""

    services: int
    endpoints_each: int

    @property
    def workloads(self) -> int:
        """Annotated Deployments."""
        return 2 * self.services

    @property
    def endpoints(self) -> int:
        """Endpoints over all slices."""
        return self.services * self.endpoints_each


def namespace(index: int) -> str:
    """Namespace of the service with that index."""
    return f"bench-{index // _PER_NAMESPACE:03d}"


def name(index: int) -> str:
    """Name of the service with that index."""
    return f"svc-{index:05d}"


def balanced(index: int) -> Object:
    """The GrpcBalancedService with that index."""
    return objects.balanced(name(index))


def _workload(index: int, role: str) -> Object:
    own = f"{name(index)}-{role}"
    made = objects.idle(own, ports=(objects.PORT,), annotations={f"grpcbalance.dev/{role}": name(index)})
    made["spec"]["template"]["metadata"]["labels"]["tier"] = role
    return made


def endpoint_slice(index: int, size: Size) -> Object:
    """The EndpointSlice of a service, as the controller would write it had the pods been real."""
    first = _FIRST_ADDRESS + index * size.endpoints_each
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name(index)}-bench",
            "labels": {
                "kubernetes.io/service-name": f"{name(index)}-headless",
                "endpointslice.kubernetes.io/managed-by": "bench",
                "grpcbalance.dev/service": name(index),
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "grpc", "port": objects.PORT, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": [str(ipaddress.ip_address(first + offset))],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "zone": "abc"[offset % 3],
            }
            for offset in range(size.endpoints_each)
        ],
    }


def in_parallel(work: Callable[[int], object], indices: Iterable[int]) -> None:
    """Run `work` for each index on a few threads; the first error ends it."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(work, indices, chunksize=16):
            pass


def build(api: Rest, size: Size) -> None:
    """Write the whole world. The operator must not run yet."""
    for index in range(0, size.services, _PER_NAMESPACE):
        api.create(path("v1", "namespaces"), {"metadata": {"name": namespace(index)}})

    def one(index: int) -> None:
        where = namespace(index)
        api.create(path("discovery.k8s.io/v1", "endpointslices", where), endpoint_slice(index, size))
        for role in ("server", "client"):
            api.create(path("apps/v1", "deployments", where), _workload(index, role))
        api.create(path(*GBS, where), balanced(index))

    in_parallel(one, range(size.services))
