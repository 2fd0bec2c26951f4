"""A running lab: its components can be broken and mended, and it tells who wrote what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab import Lab, LabError
from lab.control import Process, thread_states
from lab.rest import Rest, path

from . import pods

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab, pytest.mark.full]

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
)
CONFIG_MAPS = path("v1", "configmaps", "default")


@pytest.fixture(scope="module")
def served(lab: Lab, api: Rest) -> str:
    """Name of a pod that serves; tests make Services of it."""
    pods.provide(lab)
    api.create(pods.PODS, {**pods.server(), "metadata": {"name": "server", "labels": pods.LABELS}})
    api.wait(f"{pods.PODS}/server", lambda pod: pod["status"].get("phase") == "Running", within=60, what="server")
    return "server"


def is_answered(api: Rest, seconds: float) -> bool:
    """Whether the API server answers a read that has to reach etcd."""
    try:
        api.request("GET", path("v1", "namespaces"), query={"timeout": "5s"}, timeout=seconds)
    except Exception:  # refused, reset, hung and 5xx are all the same here: no answer
        return False
    return True


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_killed_component_is_gone_and_can_be_started_again(lab: Lab, api: Rest, served: str, name: str) -> None:
    component = lab.component(name)
    before = component.pid
    component.kill()
    assert not component.alive
    assert component.exit_code == -9
    with pytest.raises(LabError, match=f"{name} does not run"):
        component.pause()
    component.start()
    lab.wait_ready()
    assert lab.component(name).pid != before
    # Every component has a share in this: a new Service gets endpoints, a name and rules; a new pod a node and a run.
    api.create(path("v1", "services", "default"), pods.service(f"after-{name}"))
    asked = ["get", f"http://after-{name}.default.svc.cluster.local:{pods.PORT}"]
    assert pods.answer(lab, api, f"ask-{name}", asked) == served


def test_a_restarted_component_is_another_process(lab: Lab) -> None:
    component = lab.component("kube-scheduler")
    before = component.pid
    component.restart()
    assert component.alive
    assert component.pid != before


def test_starting_what_runs_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="coredns runs already"):
        lab.component("coredns").start()


def test_a_component_that_there_is_not(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"the lab has no redis; it has .*etcd"):
        lab.component("redis")


@pytest.mark.parametrize("name", ["etcd", "kube-apiserver"])
def test_a_paused_component_answers_nothing_until_it_is_resumed(lab: Lab, api: Rest, name: str) -> None:
    component: Process = lab.component(name)
    assert is_answered(api, 5)
    component.pause()
    try:
        assert component.alive
        assert set(thread_states(component.pid)) == {"T"}
        assert not is_answered(api, 0.3)  # and the client asks four times
    finally:
        component.resume()
    lab.wait_ready()
    assert is_answered(api, 5)


def test_a_component_that_died_is_named_with_the_end_of_its_log(lab: Lab) -> None:
    component = lab.component("coredns")
    component.kill()
    try:
        with pytest.raises(LabError, match=r"coredns has ended \(exit code -9\)\. The end of its log:\n.*\S"):
            lab.wait_ready()
    finally:
        component.start()
        lab.wait_ready()


def test_the_audit_log_tells_who_wrote_what_and_since_when(lab: Lab, api: Rest) -> None:
    made = {"metadata": {"name": "early"}}
    api.create(CONFIG_MAPS, made)
    since = datetime.now(UTC)
    api.create(CONFIG_MAPS, {"metadata": {"name": "late"}})
    api.merge(f"{CONFIG_MAPS}/late", {"data": {"key": "value"}})
    written = [(r.verb, r.resource, r.namespace, r.name, r.code) for r in lab.writes("lab:admin", since=since)]
    # A POST names its object in the body, which is not in the log.
    assert written == [
        ("create", "configmaps", "default", "late", 201),
        ("patch", "configmaps", "default", "late", 200),
    ]
    every = [r.name for r in lab.writes("lab:admin") if r.resource == "configmaps"]
    assert every == ["early", "late", "late"]
    assert lab.writes("nobody", since=since) == []
    read = [r for r in lab.audit(since) if r.user == "lab:admin" and r.verb in ("get", "list")]
    assert all(record.time >= since for record in read)


def test_a_dump_holds_logs_audit_log_and_objects_but_no_secrets(
    lab: Lab, api: Rest, served: str, tmp_path: Path
) -> None:
    uid = api.get(f"{pods.PODS}/{served}")["metadata"]["uid"]
    api.create(path("v1", "secrets", "default"), {"metadata": {"name": "quiet"}, "stringData": {"password": "hush"}})
    lab.dump(tmp_path)
    logs = {file.stem for file in (tmp_path / "components").iterdir()}
    assert logs >= set(COMPONENTS)
    assert "lab:admin" in (tmp_path / "audit.log").read_text()
    (log,) = (tmp_path / "pods" / "node-1" / f"default_{served}_{uid}").rglob("*.log")
    assert "serving" in log.read_text()
    objects = (tmp_path / "objects.yaml").read_text()
    assert "kind: Node" in objects
    assert "quiet" not in objects


def test_commands_of_the_lab_find_its_cluster(lab: Lab) -> None:
    assert lab.environment["KUBECONFIG"] == str(lab.kubeconfig)
    assert (Path(lab.environment["PATH"].split(":")[0]) / "kubectl").exists()
    attached = Lab.attach(lab.run_dir)
    assert attached.kubectl("get", "nodes", "--output=name") == lab.kubectl("get", "nodes", "--output=name")
    # It belongs to who started it.
    attached.stop()
    assert lab.component("etcd").alive
