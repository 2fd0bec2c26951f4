"""The look-aside balancer of one namespace: installed by who administers that, with Roles only."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.install import XDS_DEPLOYMENT, install_in_namespace, install_xds_in_namespace, provide_images
from lab.pki import Authority
from lab.records import Recorder, failures, per_pod
from lab.rest import Rest
from tests.kit import objects, programs, xds
from tests.kit.failures import folder_of
from tests.kit.shop import Shop

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.xds]

NAMESPACE = "shop"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{XDS_DEPLOYMENT}"
HOST = f"{XDS_DEPLOYMENT}.{NAMESPACE}.svc.cluster.local"


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Signs the certificates of the balancer and of its clients."""
    return Authority("xds")


@pytest.fixture(scope="module")
def lab(authority: Authority) -> Iterator[Lab]:
    with Lab(keep=folder_of("xds-namespaced")) as lab, Rest(lab.kubeconfig) as api:
        provide_images(lab)
        lab.kubectl("apply", "-k", "crds")
        for name in (NAMESPACE, "other"):
            lab.kubectl("create", "namespace", name)
        lab.kubectl("create", "rolebinding", "jane", "--clusterrole=admin", "--user=jane", "-n", NAMESPACE)
        install_in_namespace(lab, NAMESPACE, "jane")
        xds.make_secret(api, NAMESPACE, "grpcbalance-xds-tls", authority.issue("xds", names=(HOST,)), authority)
        install_xds_in_namespace(lab, NAMESPACE, "jane", ["plaintext"])
        yield lab


@pytest.fixture
def api(lab: Lab) -> Iterator[Rest]:
    with Rest(lab.kubeconfig) as rest:
        yield rest


def serve(lab: Lab, api: Rest, name: str, **spec: object) -> Shop:
    """Two servers in the balancer's namespace."""
    shop = Shop(lab, api, NAMESPACE)
    shop.create(objects.balanced(name, **spec), objects.server(name, annotations={"grpcbalance.dev/server": name}))
    shop.wait_condition("ServersConfigured", name=name, within=120)
    shop.wait_rolled_out(name)
    return shop


def test_in_plain_text_everybody_may_ask_for_what_lets_in_everybody(lab: Lab, api: Rest) -> None:
    shop, other = serve(lab, api, "orders", **xds.OPEN), Shop(lab, api, "other")
    client = programs.client("go", "checkout", "orders", opted_in=False, rate=50)
    other.create(xds.on_xds(client, NAMESPACE, address=f"dns:///{HOST}.:18000"))
    with Recorder(lab, "other", "app=checkout") as calls:
        assert calls.wait(lambda found: len(per_pod(found)) == 2, since=0, within=60) is not None
        start = time.time()
        shop.kubectl("scale", "deployment/orders", "--replicas=3")
        assert calls.wait(lambda found: len(per_pod(found)) == 3, since=start, within=60) is not None
        assert failures(calls.rpcs(start)) == []


@pytest.mark.parametrize(("where", "let_in"), [(NAMESPACE, True), ("other", False)])
def test_a_certificate_shows_what_is_for_its_namespace_and_labels_of_others_count_for_nothing(
    where: str, let_in: bool, lab: Lab, api: Rest, authority: Authority
) -> None:
    name = f"for{where}"
    # Every namespace meets it, but none can be read.
    serve(lab, api, name, allowedClients={"namespaces": {"from": "Selector", "selector": {}}})
    caller = Shop(lab, api, where)
    proof = authority.issue("client", names=(f"spiffe://cluster.local/ns/{where}/sa/default",))
    xds.make_secret(api, where, "xds-client", proof, authority)
    client = xds.on_xds(programs.client("go", f"calls-{name}", name, opted_in=False, rate=20), NAMESPACE, name)
    caller.create(xds.with_certificate(client, NAMESPACE))
    with Recorder(lab, where, f"app=calls-{name}") as calls:
        if let_in:
            found = calls.wait(lambda rpcs: len(per_pod(rpcs[-50:])) == 2, since=0, within=60)
            assert found is not None
        else:
            found = calls.wait(lambda rpcs: len(failures(rpcs)) >= 1, since=0, within=60)
            assert found is not None
            assert per_pod(found).keys() <= {""}


def test_nothing_of_the_cluster_was_asked_for_and_nothing_was_forbidden(lab: Lab) -> None:
    """The last one: it judges what the others made the balancer do."""
    asked = [record for record in lab.audit() if record.user == ACCOUNT]
    assert {record.verb for record in asked} == {"list", "watch"}
    assert [str(record) for record in asked if record.resource and record.namespace != NAMESPACE] == []
    assert [str(record) for record in asked if record.forbidden] == []
    bindings = lab.kubectl("get", "clusterrolebindings", "-o", "jsonpath={.items[*].subjects[*].name}").split()
    assert XDS_DEPLOYMENT not in bindings
