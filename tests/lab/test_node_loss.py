"""A node that is lost says nothing any more, and the cluster gives it up."""

from __future__ import annotations

import pytest

from lab import Lab, LabError
from lab.install import condition
from lab.rest import Object, Rest, path

from . import pods

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]


@pytest.mark.full
def test_a_lost_node_answers_nothing_and_is_given_up() -> None:
    # By default it is 40 s and more.
    with Lab(nodes=2, kcm_args={"node-monitor-grace-period": "15s"}) as lab, Rest(lab.kubeconfig) as api:
        pods.provide(lab)
        there = {**pods.server(), "metadata": {"name": "there"}}
        there["spec"]["nodeName"] = "node-2"
        api.create(pods.PODS, there)
        running = api.wait(
            f"{pods.PODS}/there", lambda pod: pod["status"].get("phase") == "Running", within=60, what="server"
        )
        url = f"http://{running['status']['podIP']}:{pods.PORT}"
        assert pods.answer(lab, api, "before", ["get", url], nodeName="node-1") == "there"
        for number in (1, 3):
            with pytest.raises(
                LabError, match=f"node {number} cannot be lost: the lab has 2, and the first carries it"
            ):
                lab.lose_node(number)

        lab.lose_node(2)
        api.create(pods.PODS, pods.asking("after", ["get", url], restartPolicy="Never", nodeName="node-1"))
        api.wait(f"{pods.PODS}/after", lambda pod: pod["status"].get("phase") == "Failed", within=60, what="no answer")
        api.wait(path("v1", "nodes", "", "node-2"), is_given_up, within=60, what="the node is given up")
        assert pods.answer(lab, api, "alive", ["resolve", "kubernetes.default.svc.cluster.local"], nodeName="node-1")


def is_given_up(node: Object) -> bool:
    return condition(node, "Ready").get("status") == "Unknown"
