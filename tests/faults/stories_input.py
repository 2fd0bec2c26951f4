"""Stories about hostile and odd input (29 to 32)."""

from __future__ import annotations

import time
from typing import Any, Final

from lab.rest import Object, RestError
from tests.faults import scripts
from tests.faults.oracles import RECORD
from tests.faults.scripts import TARGET
from tests.faults.world import World
from tests.kit import objects
from tests.kit.shop import Shop, record_of

_ODD: Final = {
    "a line break": "a\nb",
    "NUL": "a\x00b",
    "right to left": "\u202eorders",
    "zero width": "or\u200bders",
    "homoglyph": "\u043erders",
    "a variable": "$(HOME)",
    "a template": "{{ .Values.x }}",
    "a command": "`id`; rm -rf /",
    "a YAML tag": "!!python/object:os.system",
    "a path": "../../kube-system/secret",
    "64 characters": "a" * 64,
    "254 characters": "a" * 254,
    "a leading digit": "1orders",
    "a URL": "https://example.com/x",
    "a lot": "a" * 200_000,
}


def custom_resources(_: World, shop: Shop) -> None:
    """29: each odd value is refused with a message, or dealt with; others are not kept waiting."""
    answers = {}
    for number, (what, value) in enumerate(_ODD.items()):
        for field, spec in _places(value).items():
            body = objects.balanced(f"odd-{number}-{field}")
            body["spec"] |= spec
            answers[what, field] = _refusal(shop, body)
    refused = {place: error for place, error in answers.items() if error is not None}
    assert len(refused) > len(_ODD), "hardly anything was refused"
    assert {place: str(e) for place, e in refused.items() if e.code not in (400, 413, 422) or not e.message} == {}
    began = time.monotonic()
    scripts.opted_in(shop)
    shop.wait_condition("Accepted", within=5)
    assert time.monotonic() - began < 5
    for item in shop.api.items(shop.url("GrpcBalancedService")):
        shop.wait_balanced(lambda b: bool(b.get("status", {}).get("conditions")), "told of", item["metadata"]["name"])


def _refusal(shop: Shop, body: Object) -> RestError | None:
    try:
        shop.create(body)
    except RestError as error:
        return error
    return None


def _places(value: str) -> dict[str, dict[str, Any]]:
    return {
        "selector": {"selector": {"app": value}},
        "service": {"serviceName": value},
        "config": {"client": {"serviceConfig": value}},
        "authority": {"client": {"authority": value}},
        "env": {"client": {"env": {"target": {"name": value}}}},
        "age": {"server": {"maxConnectionAge": value}},
        "many": {"selector": {f"k{n}": value[:40] for n in range(2_000)}},
    }


def odd_annotations(world: World, shop: Shop) -> None:
    """30: an odd value of an annotation is told of and injects nothing, not even its well-formed part."""
    shop.create(scripts.endpoints("by-hand"), objects.balanced())
    other = world.shop("other")
    other.create(objects.balanced("secret"))
    values = [
        *_ODD.values(),
        f"orders,{other.namespace}/secret",
        f"{other.namespace}/secret",
        "orders,orders\nx",
        ",",
        "orders;x",
    ]
    # An API server takes no more than 256 KiB of annotations, and no NUL.
    values = [value for value in values if "\x00" not in value]
    for number, value in enumerate(values):
        shop.create(objects.idle(f"odd-{number}", annotations={"grpcbalance.dev/client": value}))
    for number, _ in enumerate(values):
        told = _any_event(shop, f"odd-{number}")
        assert "Warning" in told
        found = shop.get("Deployment", f"odd-{number}")
        assert record_of(found) == {}
        assert not [name for name in shop.env(f"odd-{number}") if name.startswith("GRPC_")]
    world.remove(other)


def _any_event(shop: Shop, about: str) -> str:
    """Type of the first Event about an object."""
    selector = {"fieldSelector": f"involvedObject.name={about}"}
    found = shop.api.request("GET", shop.url("Event"), query=selector)["items"]
    ours = [
        event for event in found if event.get("reportingComponent", event["source"].get("component")) == "grpcbalance"
    ]
    if ours:
        return str(ours[0]["type"])
    for kind, event in shop.api.watch(shop.url("Event"), selector, 20):
        if kind == "ADDED" and event["type"] == "Warning":
            return str(event["type"])
    return ""


def env_collisions(_: World, shop: Shop) -> None:
    """31: what the user has set stands; when the opt-in goes, each template is what it was."""
    server = objects.idle("orders", ports=(5000,), annotations=scripts.ANNOTATED["orders"])
    shop.create(scripts.endpoints("by-hand"), objects.balanced(), server, *_colliding())
    before = {name: _template(shop, name) for name in ("value", "value-from", "twice", "env-from", "sidecar")}
    for name in before:
        shop.annotate(name, client="orders")
    told = {"value": "EnvConflict", "value-from": "EnvConflict", "twice": "DuplicateEnv"}
    for name, reason in told.items():
        assert TARGET in shop.wait_workload(name, reason)["message"]
        assert _entries(_template(shop, name)) == _entries(before[name])
    for name in ("env-from", "sidecar"):
        shop.wait_env(name, TARGET, f"dns:///orders-headless.{shop.namespace}.svc.cluster.local.:5000")
    sidecar = shop.get("Deployment", "sidecar")["spec"]["template"]["spec"]
    others = [*sidecar["initContainers"], *(c for c in sidecar["containers"] if c["name"] != "app")]
    assert not [e for c in others for e in c.get("env", []) if e["name"].startswith("GRPC_")]
    for name in before:
        shop.annotate(name, client=None)
    for name, template in before.items():
        shop.wait_deployment(name, lambda d, t=template: _essential(d) == t, f"{name} is what it was")  # type: ignore[misc]


def _entries(template: Object) -> list[Object]:
    """What stands under the name of our target."""
    return [entry for entry in template["spec"]["containers"][0]["env"] if entry["name"] == TARGET]


def _colliding() -> list[Object]:
    """Workloads that have something of that name, each in another way."""
    source = {"configMapKeyRef": {"name": "settings", "key": "target", "optional": True}}
    value = {"name": TARGET, "value": "dns:///mine:1"}
    from_map = objects.idle("env-from")
    _app(from_map)["envFrom"] = [{"configMapRef": {"name": "settings", "optional": True}}]
    sidecar = objects.idle("sidecar")
    pod = sidecar["spec"]["template"]["spec"]
    pod["containers"].append(_app(sidecar) | {"name": "istio-proxy", "env": []})
    pod["initContainers"] = [_app(sidecar) | {"name": "prepare", "env": []}]
    return [
        objects.idle("value", env=[value]),
        objects.idle("value-from", env=[{"name": TARGET, "valueFrom": source}]),
        objects.idle("twice", env=[value, value]),
        from_map,
        sidecar,
    ]


def _app(deployment: Object) -> Object:
    app: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return app


def _essential(deployment: Object) -> Object:
    """Its pod template; an empty map of annotations is none."""
    template: Object = deployment["spec"]["template"]
    if not template["metadata"].get("annotations", {RECORD: ""}):
        del template["metadata"]["annotations"]
    return template


def _template(shop: Shop, name: str) -> Object:
    return _essential(shop.get("Deployment", name))


def endpoints_of_all_kinds(world: World, shop: Shop) -> None:
    """32: unique addresses are counted, however many slices tell of them, and status is written once a second."""
    shop.create(objects.balanced())
    shop.wait_condition("EndpointsReady", "False", "NoEndpoints")
    began, first = time.monotonic(), len(_status_writes(world, shop))
    for start in range(0, 1_000, 100):
        item = scripts.endpoints(f"part-{start}")
        item["endpoints"] = scripts.addresses(1_000)[start : start + 100]
        shop.create(item)
    double = scripts.endpoints("double", 50)
    waiting = scripts.endpoints("waiting")
    waiting["endpoints"] = [
        {"addresses": ["10.220.0.1"], "conditions": {"ready": False}},
        {"addresses": ["10.220.0.2"], "conditions": {"ready": False, "serving": True, "terminating": True}},
    ]
    shop.create(double, waiting)
    wanted = {"ready": 1_000, "notReady": 1, "terminating": 1, "total": 1_002}

    def counted(balanced: Object) -> bool:
        found = balanced.get("status", {}).get("endpoints", {})
        return {key: found.get(key) for key in wanted} == wanted

    balanced = shop.wait_balanced(counted, "1,000 ready, 1,002 in all")
    assert len(str(balanced)) < 64 * 1024
    assert len(_status_writes(world, shop)) - first <= time.monotonic() - began + 1
    shop.kubectl("delete", "endpointslices", "--selector=endpointslice.kubernetes.io/managed-by=tests")
    shop.wait_condition("EndpointsReady", "False", "NoEndpoints")


def _status_writes(world: World, shop: Shop) -> list[int]:
    history = world.recorder.of(shop.namespace)
    return [seen.version for seen in history.seen if seen.plural == "grpcbalancedservices"]
