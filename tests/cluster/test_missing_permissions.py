"""Rights of the operator are taken away and given back: what is missing is told by name, and heals by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from lab import Lab
from lab.install import NAMESPACE, condition, operator_log, wait_operator
from lab.rest import Object, Rest, RestError, path
from tests.kit import objects, operator
from tests.kit.shop import Shop

from .conftest import new_namespace

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.faults, pytest.mark.timeout(420)]

ROLE = path("rbac.authorization.k8s.io/v1", "clusterroles", "", "grpcbalance-operator")
# The self-check comes every minute, and while something is missing every 10 s.
NOTICED, HEALED = 75.0, 60.0
MAX_AGE = "GRPC_SERVER_MAX_CONNECTION_AGE_MS"


def take(api: Rest, resource: str, verb: str) -> Object:
    """Take one verb on one resource away; answers with the role as it was."""
    role = api.get(ROLE)
    rules = [
        rule | {"verbs": [v for v in rule["verbs"] if resource not in rule["resources"] or v != verb]}
        for rule in role["rules"]
    ]
    api.merge(ROLE, {"rules": rules})
    return role


def give(api: Rest, role: Object) -> None:
    api.merge(ROLE, {"rules": role["rules"]})


def server(name: str, service: str) -> Object:
    """A server without pods, opted in."""
    return objects.idle(name, ports=(5000,), annotations={"grpcbalance.dev/server": service})


def wait_ready(shop: Shop, name: str, accept: Callable[[Object], bool], what: str, within: float) -> Object:
    """Wait for a state of condition Ready; answers with it."""
    return condition(shop.wait_balanced(lambda b: accept(condition(b, "Ready")), what, name, within), "Ready")


def missing(ready: Object) -> bool:
    return ready.get("reason") == "MissingPermission"


def not_missing(ready: Object) -> bool:
    return bool(ready) and not missing(ready)


def served(api: Rest, what: str) -> str:
    """Path of what the operator serves over HTTP."""
    return path("v1", "pods", NAMESPACE, f"{operator.pod(api)['metadata']['name']}:8080", f"proxy/{what}")


@pytest.mark.full
def test_one_write_that_is_forbidden_stops_no_other_and_heals_when_it_is_allowed(own_lab: Lab) -> None:
    with Rest(own_lab.kubeconfig) as api:
        shop, before = Shop(own_lab, api, new_namespace(api, "patch")), operator.pod(api)
        role = take(api, "statefulsets", "patch")
        shop.create(
            objects.balanced(),
            server("orders", "orders"),
            objects.as_kind("StatefulSet", server("held", "orders")),
        )
        shop.wait_env("orders", MAX_AGE, "300000")
        ready = wait_ready(shop, "orders", missing, "the missing permission is told", NOTICED)
        assert ready["status"] == "False"
        assert "may not patch statefulsets.apps; apply manifests/rbac.yaml" in ready["message"]
        with pytest.raises(RestError, match=r"503 .*may not patch statefulsets\.apps: apply manifests/rbac\.yaml"):
            api.get(served(api, "readyz"))
        metrics = own_lab.kubectl("get", "--raw", served(api, "metrics"))
        assert 'grpcbalance_missing_permissions{resource="statefulsets",verb="patch"} 1.0' in metrics
        assert operator_log(own_lab).count("missing permissions: the operator may not patch statefulsets.apps;") == 1
        assert MAX_AGE not in shop.env("held", kind="StatefulSet")
        give(api, role)
        what = f"held: {MAX_AGE} is written"
        shop.wait_object("StatefulSet", "held", lambda s: MAX_AGE in str(s["spec"]["template"]), what, HEALED)
        wait_ready(shop, "orders", not_missing, "nothing is missing any more", HEALED)
        wait_operator(own_lab)
        after = operator.pod(api)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_who_cannot_see_everything_tells_it_writes_nothing_and_heals(own_lab: Lab) -> None:
    with Rest(own_lab.kubeconfig) as api:
        shop = Shop(own_lab, api, new_namespace(api, "list"))
        shop.create(objects.balanced(), objects.balanced("left"))
        stored = shop.wait_condition("ServiceReady")["status"]
        shop.wait_condition("ServiceReady", name="left")
        # A pod that ends may work on beside the next one for a moment, and this one still sees everything.
        with operator.away(api):
            role, blind = take(api, "cronjobs", "list"), datetime.now(UTC)
            # Nothing uses the Service of this one. But who knows, while CronJobs cannot be seen?
            shop.delete("GrpcBalancedService", "left")
        ready = wait_ready(shop, "orders", missing, "the missing permission is told", NOTICED)
        assert "may not list cronjobs.batch" in ready["message"]
        now = shop.get("GrpcBalancedService", "orders")["status"]
        kept = [c for c in stored["conditions"] if c["type"] != "Ready"]
        assert [c for c in now["conditions"] if c["type"] != "Ready"] == kept
        assert {k: v for k, v in now.items() if k != "conditions"} == {
            k: v for k, v in stored.items() if k != "conditions"
        }
        shop.create(
            objects.balanced("new"),
            server("new", "new"),
        )
        wait_ready(shop, "new", missing, "it is told of what is created now, too", NOTICED)
        log = own_lab.kubectl("logs", "--namespace", NAMESPACE, operator.pod(api)["metadata"]["name"])
        assert "may not list cronjobs.batch" in log
        wrote = {
            (r.full_resource, r.verb)
            for r in operator.writes(own_lab, blind)
            if r.user_agent.startswith("grpcbalance/")
        }
        assert wrote == {("grpcbalancedservices/status", "patch")}
        assert api.find(shop.url("Service", "left-headless")) is not None
        give(api, role)
        shop.wait_env("new", MAX_AGE, "300000", within=HEALED)
        wait_ready(shop, "orders", not_missing, "nothing is missing any more", HEALED)
        url = shop.url("Service", "left-headless")
        api.wait(url, lambda _: False, within=HEALED, what="the unused Service gone", missing=True)
        wait_operator(own_lab)
        assert operator.pod(api)["status"]["containerStatuses"][0]["restartCount"] == 0
