"""The life of a lab: several at once, several nodes, and nothing left of it, however it ends."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Lab, LabError, parts, sweep
from lab.install import ROOT
from lab.rest import Rest, path

from . import pods

pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

SLICES = path("discovery.k8s.io/v1", "endpointslices", "default")
# Starts a lab, tells its id, and waits for its end.
OWNER = """
import sys
from lab import Lab
with Lab() as lab:
    print(lab.run_dir.name, flush=True)
    sys.stdin.read()
"""


def members(lab: str) -> list[str]:
    """Processes of a lab: what is in its cgroups, or works in its folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            known = (entry / "cgroup").read_text() + (entry / "cmdline").read_text()
        except OSError:
            continue  # it has ended meanwhile
        if sweep.cgroup_name(lab) in known or str(sweep.RUN_ROOT / lab) in known:
            found.append(entry.name)
    return found


def remains(lab: str) -> dict[str, list[str]]:
    """All that there is of a lab on this machine."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    links = subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True, timeout=10).stdout
    return {
        "processes": members(lab),
        "folders": [str(f) for f in (*sweep.cgroup_folders(lab), *sweep.RUN_ROOT.glob(f"{lab}*"))],
        "mounts": [line for line in mounts if str(sweep.RUN_ROOT / lab) in line],
        "links": [line for line in links.splitlines() if lab in line],
    }


def started_as(pid: int) -> str:
    """The program of a process, as it was called."""
    return Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]


def wait_until(holds: Callable[[], bool], within: float, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what()}"
        time.sleep(0.05)


def nothing_is_left(lab: str) -> bool:
    return not any(remains(lab).values())


@pytest.mark.full
def test_two_labs_side_by_side_know_nothing_of_each_other() -> None:
    with Lab() as first, Lab() as second:
        assert first.name != second.name
        ids = [first.run_dir.name, second.run_dir.name]
        with Rest(first.kubeconfig) as one, Rest(second.kubeconfig) as two:
            one.create(path("v1", "configmaps", "default"), {"metadata": {"name": "mine"}})
            assert one.find(path("v1", "configmaps", "default", "mine")) is not None
            assert two.find(path("v1", "configmaps", "default", "mine")) is None
        first.component("kube-apiserver").kill()
        second.wait_ready()
        assert all(members(number) for number in ids)
    assert [remains(number) for number in ids] == [{key: [] for key in remains("none")}] * 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_an_owner_that_was_killed(how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert owner.stdout is not None
    lab = owner.stdout.readline().strip()
    try:
        assert len(members(lab)) > 8
        owner.send_signal(how)
        owner.wait(30)
        wait_until(lambda: nothing_is_left(lab), 30, lambda: remains(lab))
    finally:
        owner.kill()
        owner.communicate()


def test_three_nodes_are_in_three_zones_and_run_pods() -> None:
    with Lab(3) as lab, Rest(lab.kubeconfig) as api:
        nodes = api.items(path("v1", "nodes"))
        zones = {n["metadata"]["name"]: n["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in nodes}
        assert zones == {"node-1": "a", "node-2": "b", "node-3": "c"}
        pods.provide(lab)
        everywhere = {"selector": {"matchLabels": pods.LABELS}, "template": pods.server()}
        api.create(path("apps/v1", "daemonsets", "default"), {"metadata": {"name": "probe"}, "spec": everywhere})
        api.create(path("v1", "services", "default"), pods.service("probe", clusterIP="None"))
        url = path("apps/v1", "daemonsets", "default", "probe")
        api.wait(url, lambda d: d.get("status", {}).get("numberReady") == 3, within=60, what="a pod on each node")

        def seen() -> set[str]:
            found = api.items(SLICES, "kubernetes.io/service-name=probe")
            return {endpoint.get("zone", "") for piece in found for endpoint in piece.get("endpoints") or ()}

        wait_until(lambda: seen() == {"a", "b", "c"}, 30, seen)
        found = api.items(pods.PODS, "app=probe")
        (far,) = (pod for pod in found if pod["spec"]["nodeName"] == "node-1")
        asked = ["get", f"http://{far['status']['podIP']}:{pods.PORT}"]
        assert pods.answer(lab, api, "ask-a-pod", asked, nodeName="node-3") == far["metadata"]["name"]
        asked = ["resolve", "probe.default.svc.cluster.local"]
        resolved = pods.answer(lab, api, "ask-dns", asked, nodeName="node-3")
        assert sorted(resolved.split()) == sorted(pod["status"]["podIP"] for pod in found)


@pytest.mark.full
def test_programs_of_kubebuilder_assets_run_in_place_of_the_built_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("etcd", "kube-apiserver", "kubectl"):  # what envtest ships
        (tmp_path / name).symlink_to(parts.location(parts.KUBE) / name)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with Lab() as lab:
        commands = {name: started_as(lab.component(name).pid) for name in ("etcd", "kube-apiserver", "kubelet")}
        assert lab.kubectl_command()[0] == str(tmp_path / "kubectl")
        assert "node-1" in lab.kubectl("get", "nodes")
    assert commands["etcd"] == str(tmp_path / "etcd")
    assert commands["kube-apiserver"] == str(tmp_path / "kube-apiserver")
    assert commands["kubelet"] == str(parts.location(parts.KUBE) / "kubelet")


def test_a_component_that_dies_at_the_start_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = secrets.token_hex(3)
    monkeypatch.setattr(secrets, "token_hex", lambda _: number)
    lab = Lab(apiserver_args={"no-such-flag": "1"}, keep=tmp_path / "kept")
    said = r"kube-apiserver has ended \(exit code 1\)\. The end of its log:\n(.*\n)*.*unknown flag: --no-such-flag"
    with pytest.raises(LabError, match=said):
        lab.start()
    assert not any(remains(number).values())
    assert "no-such-flag" in (tmp_path / "kept" / "components" / "kube-apiserver.log").read_text()
    assert (tmp_path / "kept" / "objects.yaml").read_text().startswith("# `kubectl api-resources")
