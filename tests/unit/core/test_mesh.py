"""HeadlessEffective: each mesh at each level, who has the last word, and proxies."""

from __future__ import annotations

from typing import Any

import pytest

from grpcbalance.model import Ref, StatusKey
from tests.unit import factories as make
from tests.unit.core.snapshots import newer, view_of
from tests.unit.core.test_conditions import GBS, HEADLESS, SERVING, condition, status_of

Raw = dict[str, Any]
LINKERD, ISTIO, KUMA = "linkerd.io/inject", "sidecar.istio.io/inject", "kuma.io/sidecar-injection"
CONSUL, AMBIENT, WAYPOINT = "consul.hashicorp.com/connect-inject", "istio.io/dataplane-mode", "istio.io/use-waypoint"
PROXY = "http://proxy.example:3128"


def namespace(labels: Raw | None = None, annotations: Raw | None = None, name: str = make.NAMESPACE) -> Raw:
    raw = make.namespace(name, labels)
    raw["metadata"]["annotations"] = dict(annotations or {})
    return raw


def client(labels: Raw | None = None, annotations: Raw | None = None, **more: Any) -> Raw:
    mine = {"app": "checkout", **(labels or {})}
    return make.deployment(client="orders", labels=mine, template_annotations=annotations, **more)


def server(labels: Raw | None = None, annotations: Raw | None = None, **more: Any) -> Raw:
    return make.server(labels={"app": "orders", **(labels or {})}, template_annotations=annotations, **more)


def judged(*objects: Raw, gbs: Raw = GBS) -> Raw:
    """The condition, of servers without a mesh unless the objects have others."""
    servers = () if any(o["metadata"]["name"] == "orders" for o in objects) else (make.server(),)
    return condition(status_of(gbs, HEADLESS, SERVING, *servers, *objects), "HeadlessEffective")


def outcome(found: Raw) -> tuple[str, str]:
    return found["status"], found["reason"]


FREE, SIDECAR, MAYBE = ("True", "Unobstructed"), ("False", "MeshSidecar"), ("Unknown", "MeshAmbient")
PROXYLESS = {"inject.istio.io/templates": "grpc-agent"}
NATIVE = {"initContainers": [{"name": "istio-proxy", "image": "proxy:1", "restartPolicy": "Always"}]}
SETTING_UP = {"initContainers": [{"name": "istio-proxy", "image": "proxy:1"}]}

SEEN = [
    # by the namespace
    ("linkerd on ns", [namespace(annotations={LINKERD: "enabled"}), client()], SIDECAR),
    ("linkerd ingress on ns", [namespace(annotations={LINKERD: "ingress"}), client()], SIDECAR),
    ("istio on ns", [namespace({"istio-injection": "enabled"}), client()], SIDECAR),
    ("istio revision on ns", [namespace({"istio.io/rev": "canary"}), client()], SIDECAR),
    ("kuma on ns", [namespace({KUMA: "enabled"}), client()], SIDECAR),
    ("ambient on ns", [namespace({AMBIENT: "ambient"}), client()], MAYBE),
    (
        "ambient with waypoint on ns",
        [namespace({AMBIENT: "ambient", WAYPOINT: "w"}), client()],
        ("False", "MeshAmbient"),
    ),
    ("ambient with revision on ns", [namespace({AMBIENT: "ambient", "istio.io/rev": "canary"}), client()], MAYBE),
    ("plain ns", [namespace({"team": "a"}), client()], FREE),
    ("another ns", [namespace({"istio-injection": "enabled"}, name="other"), client()], FREE),
    # by the pod template
    ("linkerd on pod", [client(annotations={LINKERD: "enabled"})], SIDECAR),
    ("istio label on pod", [client({ISTIO: "true"})], SIDECAR),
    ("istio annotation on pod", [client(annotations={ISTIO: "true"})], SIDECAR),
    ("istio revision on pod", [client({"istio.io/rev": "canary"})], SIDECAR),
    ("kuma on pod", [client({KUMA: "enabled"})], SIDECAR),
    ("consul on pod", [client(annotations={CONSUL: "true"})], SIDECAR),
    ("ambient on pod", [client({AMBIENT: "ambient"})], MAYBE),
    ("on a server", [server(annotations={LINKERD: "enabled"})], SIDECAR),
    # by containers
    *(
        (f"container {name}", [client(containers=[make.container(), make.container(name)])], SIDECAR)
        for name in ("linkerd-proxy", "istio-proxy", "kuma-sidecar", "consul-dataplane")
    ),
    ("native sidecar", [client(pod=NATIVE)], SIDECAR),
    ("init container that ends", [client(pod=SETTING_UP)], FREE),
    ("sidecars that are no mesh", [client(containers=[make.container(), make.container("daprd")])], FREE),
    # the pod's own word counts
    (
        "linkerd off on pod",
        [namespace(annotations={LINKERD: "enabled"}), client(annotations={LINKERD: "disabled"})],
        FREE,
    ),
    ("istio off on pod", [namespace({"istio-injection": "enabled"}), client({ISTIO: "false"})], FREE),
    ("istio revision, off on pod", [namespace({"istio.io/rev": "canary"}), client({ISTIO: "false"})], FREE),
    ("istio label before annotation", [client({ISTIO: "false"}, {ISTIO: "true"})], FREE),
    ("kuma off on pod", [namespace({KUMA: "enabled"}), client({KUMA: "disabled"})], FREE),
    ("ambient off on pod", [namespace({AMBIENT: "ambient"}), client({AMBIENT: "none"})], FREE),
    ("ambient, no waypoint on pod", [namespace({AMBIENT: "ambient", WAYPOINT: "w"}), client({WAYPOINT: "none"})], FREE),
    ("istio off on ns", [namespace({"istio-injection": "disabled"}), client({ISTIO: "true"})], FREE),
    ("proxyless", [namespace({"istio-injection": "enabled"}), client(annotations=PROXYLESS)], FREE),
    ("host network", [namespace({"istio-injection": "enabled"}), client(pod={"hostNetwork": True})], FREE),
    # the port alone is left alone
    *(
        (f"{skip} of client", [client({**on}, {skip: "80,4990-5010"})], FREE)
        for on, skip in (
            ({ISTIO: "true"}, "traffic.sidecar.istio.io/excludeOutboundPorts"),
            ({KUMA: "enabled"}, "traffic.kuma.io/exclude-outbound-ports"),
            ({CONSUL: "true"}, "consul.hashicorp.com/transparent-proxy-exclude-outbound-ports"),
        )
    ),
    (
        "linkerd skips the port, on ns",
        [namespace(annotations={LINKERD: "enabled", "config.linkerd.io/skip-outbound-ports": "5000"}), client()],
        FREE,
    ),
    (
        "linkerd skips another port",
        [client(annotations={LINKERD: "enabled", "config.linkerd.io/skip-outbound-ports": "5001, 6000-x,"})],
        SIDECAR,
    ),
    (
        "linkerd skips the wrong way",
        [client(annotations={LINKERD: "enabled", "config.linkerd.io/skip-inbound-ports": "5000"})],
        SIDECAR,
    ),
    (
        "linkerd skips the server's port",
        [server(annotations={LINKERD: "enabled", "config.linkerd.io/skip-inbound-ports": "5000"})],
        FREE,
    ),
]


@pytest.mark.parametrize(("objects", "expected"), [case[1:] for case in SEEN], ids=[case[0] for case in SEEN])
def test_mesh(objects: list[Raw], expected: tuple[str, str]) -> None:
    # A server that has left every mesh: what is judged is the other one.
    apart = server({ISTIO: "false", KUMA: "disabled", AMBIENT: "none"}, {LINKERD: "disabled"})
    servers = [] if any(o["metadata"]["name"] == "orders" for o in objects) else [apart]
    assert outcome(judged(*objects, *servers)) == expected


def test_message_says_which_how_and_what_to_change() -> None:
    found = judged(namespace(annotations={LINKERD: "enabled"}), client())["message"]
    assert "Deployment checkout" in found
    assert "linkerd.io/inject: enabled on its namespace" in found
    assert "set annotation linkerd.io/inject: disabled on its pod template" in found
    assert 'annotation config.linkerd.io/skip-outbound-ports: "5000"' in found
    assert found.endswith("; and 1 more")


def test_what_is_certain_is_told_first() -> None:
    objects = [
        make.deployment("aa", client="orders", labels={"app": "aa", AMBIENT: "ambient"}),
        client({ISTIO: "true"}),
    ]
    assert outcome(judged(*objects)) == SIDECAR


def test_unknown_without_workloads() -> None:
    assert outcome(condition(status_of(GBS), "HeadlessEffective")) == ("Unknown", "NoneAnnotated")


def test_namespaces_that_cannot_be_read_are_told_of() -> None:
    assert "cannot be read" in judged(client())["message"]
    assert "cannot be read" not in judged(namespace(), client())["message"]


def test_it_is_no_part_of_ready() -> None:
    status = status_of(GBS, HEADLESS, SERVING, server({ISTIO: "true"}))
    assert condition(status, "HeadlessEffective")["status"] == "False"
    assert "HeadlessEffective" not in condition(status, "Ready")["message"]


def test_a_spec_that_is_not_accepted_hides_no_mesh() -> None:
    assert outcome(judged(client({ISTIO: "true"}), gbs=make.gbs(port="grpc"))) == SIDECAR


def test_clients_elsewhere_are_counted_and_not_described() -> None:
    open_to_all = make.gbs(allowedClients={"namespaces": {"from": "All"}})
    away = make.deployment("spy", client="shop/orders", namespace="away", labels={ISTIO: "true"})
    found = judged(namespace(), namespace(name="away"), away, gbs=open_to_all)
    assert outcome(found) == ("False", "ObstructedElsewhere")
    assert found["message"].startswith("1 of the clients in other namespaces")
    assert not {"spy", "away", "istio"} & set(found["message"].lower().replace(":", " ").split())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, namespace({"istio-injection": "enabled"})),
        (namespace(), namespace({"istio-injection": "enabled"})),
        (namespace(annotations={LINKERD: "enabled"}), namespace()),
    ],
    ids=["new", "label set", "annotation removed"],
)
def test_a_change_of_the_namespace_refreshes_its_objects(before: Raw | None, after: Raw) -> None:
    view = view_of(GBS, make.gbs("far", namespace="far"), *((before,) if before else ()))
    keys = view.apply("namespaces", "MODIFIED", newer(after, rv=9))
    assert keys == {StatusKey(*Ref("shop", "orders"))}
    assert view.apply("namespaces", "MODIFIED", newer(after, rv=10)) == set()


def test_other_labels_refresh_nothing() -> None:
    view = view_of(GBS, namespace())
    assert view.apply("namespaces", "MODIFIED", newer(namespace({"team": "a"}), rv=9)) == set()


COVERED = [".svc.cluster.local.", "cluster.local.", "orders-headless.shop.svc.cluster.local.", "10.0.0.0/8,.local."]
# What covers the name without its last dot does not cover it; CIDRs match no names.
UNCOVERED = ["", ".svc,.cluster.local", "*", "*.cluster.local.", "10.0.0.0/8", "localhost"]


def proxied(**variables: str) -> Raw:
    return client(containers=[make.container(env=make.env(**variables))])


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
@pytest.mark.parametrize(("exempt", "expected"), [(e, "True") for e in COVERED] + [(e, "False") for e in UNCOVERED])
def test_proxy_of_c_core_and_node(variable: str, exempt: str, expected: str) -> None:
    assert judged(proxied(**{variable: PROXY, "no_proxy": exempt}))["status"] == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HTTPS_PROXY": PROXY}, "False"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ".cluster.local"}, "False"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": " *.Cluster.Local. , x"}, "True"),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, "True"),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "cluster.local."}, "True"),
        # Read by Go before the other, and by Go alone.
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "x", "no_proxy": ".local."}, "False"),
        ({"https_proxy": PROXY, "NO_PROXY": ".local."}, "False"),
        ({"http_proxy": PROXY, "no_grpc_proxy": "x", "no_proxy": ".local."}, "False"),
        # No gRPC library reads it; an empty one is none.
        ({"HTTP_PROXY": PROXY}, "True"),
        ({"http_proxy": ""}, "True"),
    ],
    ids=str,
)
def test_proxy_variables(variables: dict[str, str], expected: str) -> None:
    assert judged(proxied(**variables))["status"] == expected


def test_proxy_message_names_variable_container_and_what_to_add() -> None:
    found = judged(proxied(http_proxy=PROXY, no_proxy=".cluster.local"))
    assert outcome(found) == ("False", "HttpProxy")
    assert "variable http_proxy of container app" in found["message"]
    assert "add .svc.cluster.local. to no_proxy" in found["message"]
    assert "proxy.example" not in found["message"]


def test_proxy_without_the_dot_when_tls() -> None:
    tls = make.gbs(client={"tls": True, "authority": "orders.example.org"})
    assert judged(proxied(http_proxy=PROXY, no_proxy=".cluster.local"), gbs=tls)["status"] == "True"
    assert "last dot" not in judged(proxied(http_proxy=PROXY), gbs=tls)["message"]


def test_values_that_cannot_be_seen() -> None:
    source = {"valueFrom": {"configMapKeyRef": {"name": "proxy", "key": "x"}}}
    somewhere = {"name": "http_proxy", **source}
    assert judged(client(containers=[make.container(env=[somewhere])]))["status"] == "False"
    hidden = [somewhere, {"name": "no_proxy", **source}]
    assert judged(client(containers=[make.container(env=hidden)]))["status"] == "True"


def test_proxies_of_servers_and_sidecars_do_not_matter() -> None:
    env = make.env(http_proxy=PROXY)
    assert judged(make.server(containers=[make.container(ports=[5000], env=env)]))["status"] == "True"
    for apps in ([make.container()], [make.container("a"), make.container("b")]):
        assert judged(client(containers=[*apps, make.container("vault-agent", env=env)]))["status"] == "True"


def test_before_containers_are_chosen_any_app_counts() -> None:
    apps = [make.container("a"), make.container("b", env=make.env(http_proxy=PROXY))]
    assert "container b" in judged(client(containers=apps))["message"]
