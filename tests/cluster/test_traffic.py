"""Running traffic is never broken: every RPC of a real client counts."""

from __future__ import annotations

import time

import pytest

from lab.records import Recorder, failures, per_pod
from tests.kit import objects
from tests.kit.shop import Shop

from .test_endpoints import counts

pytestmark = pytest.mark.cluster

AGE: objects.Object = {"server": {"maxConnectionAge": "5s"}, "client": {"minResolutionInterval": "1s"}}


def settled(recorder: Recorder, shop: Shop) -> float:
    """A moment from which on only the configured client's RPCs count."""
    shop.wait_configured()
    start = time.time() + 1
    assert recorder.wait(lambda found: len(found) > 100, since=start, within=60) is not None
    return start


def mark_of(service: objects.Object) -> str | None:
    """Since when nothing refers to a Service of ours."""
    mark: str | None = service["metadata"]["annotations"].get("grpcbalance.dev/unreferenced-since")
    return mark


def test_load_goes_from_one_pod_to_all(shop: Shop) -> None:
    shop.create(objects.cluster_ip(), objects.server(replicas=3), objects.client())
    shop.wait_rolled_out("orders", "checkout")
    with Recorder(shop.cluster, shop.namespace, "app=checkout") as recorder:
        before = recorder.wait(lambda found: per_pod(found).total() >= 100, since=0, within=60)
        assert before is not None
        assert len(per_pod(before)) == 1
        shop.create(objects.balanced())
        shop.annotate("orders", server="orders")
        shop.annotate("checkout", client="orders")
        start = settled(recorder, shop)
        found = recorder.wait(lambda rpcs: len(rpcs) >= 100, since=start, within=60)
        assert found is not None
        shares = per_pod(found[:100])
        assert len(shares) == 3
        # Round robin from one thread, no connection older than its age meanwhile: each within one of the mean.
        assert max(shares.values()) - min(shares.values()) <= 2
        assert failures(recorder.rpcs(start)) == []


def test_deleting_the_object_loses_no_rpc_and_rolls_nothing(shop: Shop) -> None:
    shop.create(
        objects.balanced(**AGE),
        objects.server(annotations={"grpcbalance.dev/server": "orders"}),
        objects.client(annotations={"grpcbalance.dev/client": "orders"}),
    )
    with Recorder(shop.cluster, shop.namespace, "app=checkout") as recorder:
        start = settled(recorder, shop)
        revisions = [shop.revision(name) for name in ("orders", "checkout")]
        shop.delete("GrpcBalancedService", "orders")
        shop.wait_event("checkout", "StillReferenced")
        # Longer than the connection age and the time that an unused Service is kept.
        deleted = time.time()
        assert recorder.wait(lambda found: len(found) >= 50 * 10, since=deleted, within=60) is not None
        assert shop.get("Service", "orders-headless")["spec"]["clusterIP"] == "None"
        shop.create(objects.balanced(**AGE))
        shop.wait_configured()
        assert recorder.wait(lambda found: len(found) >= 100, since=time.time(), within=60) is not None
        assert failures(recorder.rpcs(start)) == []
        assert [shop.revision(name) for name in ("orders", "checkout")] == revisions


def test_without_users_the_service_goes_after_the_object(shop: Shop) -> None:
    shop.create(objects.balanced())
    shop.wait_condition("ServiceReady")
    shop.delete("GrpcBalancedService", "orders")
    shop.api.wait(
        shop.url("Service", "orders-headless"), lambda _: False, within=60, what="Service removed", missing=True
    )


def test_a_pod_that_still_names_the_host_keeps_the_service(shop: Shop) -> None:
    shop.create(objects.balanced())
    shop.wait_condition("ServiceReady")
    host = f"orders-headless.{shop.namespace}.svc"
    pod = objects.idle("lonely", env=[{"name": "TARGET", "value": f"dns:///{host}:5000"}])["spec"]["template"]
    shop.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lonely"}, "spec": pod["spec"]})
    shop.api.wait(
        shop.url("Pod", "lonely"), lambda p: p["status"].get("phase") == "Running", within=60, what="pod runs"
    )
    shop.delete("GrpcBalancedService", "orders")
    first = shop.api.wait(
        shop.url("Service", "orders-headless"), lambda s: bool(mark_of(s)), within=30, what="marked as unreferenced"
    )
    # Marked anew: the grace period ended, the live look found the pod, and the Service stays.
    shop.api.wait(
        shop.url("Service", "orders-headless"),
        lambda s: mark_of(s) not in (None, mark_of(first)),
        within=30,
        what="kept for the pod",
    )
    shop.kubectl("delete", "pod", "lonely", "--wait=true", "--grace-period=1")
    shop.api.wait(
        shop.url("Service", "orders-headless"), lambda _: False, within=60, what="Service removed", missing=True
    )


def test_scale_out_and_in_lose_no_rpc(shop: Shop) -> None:
    server = objects.server(replicas=2, annotations={"grpcbalance.dev/server": "orders"})
    server["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 8}}}
    shop.create(objects.balanced(**AGE), server, objects.client(annotations={"grpcbalance.dev/client": "orders"}))
    with Recorder(shop.cluster, shop.namespace, "app=checkout") as recorder:
        start = settled(recorder, shop)
        shop.kubectl("scale", "deployment/orders", "--replicas=4")
        scaled = time.time()
        assert recorder.wait(lambda found: len(per_pod(found)) == 4, since=scaled, within=60) is not None
        shop.kubectl("scale", "deployment/orders", "--replicas=1")
        shop.wait_balanced(
            lambda b: counts(b) == (1, 0, 0, 1),
            "one endpoint left",
            within=90,
        )
        assert recorder.wait(lambda found: len(found) >= 100, since=time.time(), within=60) is not None
        assert failures(recorder.rpcs(start)) == []
