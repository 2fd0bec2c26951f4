"""The CRD is deleted and created again, with all objects: running traffic must not notice."""

from __future__ import annotations

import time

import pytest

from lab import Lab
from lab.records import Recorder, failures
from lab.rest import Rest, path
from tests.kit import objects
from tests.kit.shop import Shop

from .conftest import new_namespace
from .test_traffic import AGE, settled

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.faults]

CRD = path("apiextensions.k8s.io/v1", "customresourcedefinitions", "", "grpcbalancedservices.grpcbalance.dev")


def test_deleting_the_crd_loses_no_rpc_and_rolls_nothing(own_lab: Lab) -> None:
    with Rest(own_lab.kubeconfig) as api:
        shop = Shop(own_lab, api, new_namespace(api, "crd-removal"))
        shop.create(
            objects.balanced(**AGE),
            objects.server(annotations={"grpcbalance.dev/server": "orders"}),
            objects.client(annotations={"grpcbalance.dev/client": "orders"}),
        )
        with Recorder(own_lab, shop.namespace, "app=checkout") as recorder:
            start = settled(recorder, shop)
            revisions = [shop.revision(name) for name in ("orders", "checkout")]
            api.delete(CRD)
            api.wait(CRD, lambda _: False, within=60, what="CRD gone", missing=True)
            shop.wait_event("checkout", "StillReferenced")
            gone = time.time()
            assert recorder.wait(lambda found: len(found) >= 50 * 10, since=gone, within=60) is not None
            own_lab.kubectl("apply", "-k", "crds")
            own_lab.kubectl("wait", "--for=condition=Established", "crd/grpcbalancedservices.grpcbalance.dev")
            # Discovery lags behind Established by a second or two.
            deadline = time.monotonic() + 30
            while not shop.api.find(shop.url("GrpcBalancedService")) and time.monotonic() < deadline:
                time.sleep(0.2)
            shop.create(objects.balanced(**AGE))
            shop.wait_configured()
            assert recorder.wait(lambda found: len(found) >= 100, since=time.time(), within=60) is not None
            assert failures(recorder.rpcs(start)) == []
            assert [shop.revision(name) for name in ("orders", "checkout")] == revisions
