"""What the lab decides without a machine: versions, addresses, keys, images, certificates."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lab import cache, control, cri, gomod, host_settings, images, layout, network, oci, parts, pki, sweep
from lab.install import held_up
from lab.model import LabError


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8", (1, 26, 8)), ("v1.37.2", (1, 37, 2)), ("1.26", (1, 26)), ("go1.27rc1", (1, 27)), (" v2\n", (2,))],
)
def test_parse_version(text: str, version: tuple[int, ...]) -> None:
    assert gomod.parse_version(text) == version


@pytest.mark.parametrize("text", ["", "devel", "go", "v.1"])
def test_parse_version_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        gomod.parse_version(text)


def test_go_mod_is_read_in_both_forms() -> None:
    mod = "module x\n\ngo 1.26.6\n\nrequire k8s.io/kubernetes v1.37.2\nrequire (\n\tb.example/c v0.1.0 // indirect\n)\n"
    assert gomod.needed_go(mod) == (1, 26, 6)
    assert gomod.required(mod, "k8s.io/kubernetes") == "v1.37.2"
    assert gomod.required(mod, "b.example/c") == "v0.1.0"
    with pytest.raises(ValueError, match=r"does not require b\.example"):
        gomod.required(mod, "b.example")
    with pytest.raises(ValueError, match="no go line"):
        gomod.needed_go("module x\n")


def test_the_kubernetes_version_is_the_one_of_its_staging_modules() -> None:
    mod = (parts.KUBE.folder / "go.mod").read_text()
    version = parts.kubernetes_version()
    assert f"k8s.io/api => k8s.io/api v0.{version.removeprefix('v1.')}" in mod


def test_every_version_stands_in_a_go_mod_only() -> None:
    version = parts.kubernetes_version().removeprefix("v")
    mentions = [file.name for file in Path(parts.__file__).parent.glob("*.py") if version in file.read_text()]
    assert mentions == []


# --- keys ---------------------------------------------------------------------------------------------------------


def make(folder: Path, **content: str) -> list[Path]:
    for name, text in content.items():
        (folder / name).write_text(text)
    return [folder / name for name in content]


def test_a_key_depends_on_content_names_modes_and_facts_and_not_on_order(tmp_path: Path) -> None:
    files = make(tmp_path, a="1", b="2")
    key = cache.key(tmp_path, files, "flag")
    assert cache.key(tmp_path, reversed(files), "flag") == key
    assert cache.key(tmp_path, files, "flag2") != key
    assert cache.key(tmp_path, files[:1], "flag") != key
    files[0].chmod(0o755)
    assert cache.key(tmp_path, files, "flag") != key
    files[0].chmod(0o644)
    files[1].write_text("3")
    assert cache.key(tmp_path, files, "flag") != key


def test_a_key_tells_facts_apart_that_read_the_same_when_joined(tmp_path: Path) -> None:
    assert cache.key(tmp_path, [], "ab", "c") != cache.key(tmp_path, [], "a", "bc")


def test_operator_inputs_leave_out_what_is_made_by_running(tmp_path: Path) -> None:
    (tmp_path / "operator" / "__pycache__").mkdir(parents=True)
    make(tmp_path, Dockerfile="FROM scratch", README="not an input")
    make(tmp_path / "operator", **{"a.py": ""})
    make(tmp_path / "operator" / "__pycache__", **{"a.pyc": ""})
    assert [path.name for path in images.operator_inputs(tmp_path)] == ["Dockerfile", "a.py"]


# --- network ------------------------------------------------------------------------------------------------------


def test_a_free_network_overlaps_no_route() -> None:
    routes = json.dumps([{"dst": "default"}, {"dst": "198.18.0.0/16"}, {"dst": "198.19.4.1"}, {"dst": "10.0.0.0/8"}])
    used = network.routed(routes)
    assert len(used) == 3
    for seed in range(50):
        net = network.choose(used, seed)
        assert net.prefixlen == 30
        assert net.subnet_of(ipaddress.IPv4Network("198.19.0.0/16"))
        assert not any(net.overlaps(other) for other in used)


def test_the_last_free_network_is_found_and_then_none() -> None:
    everything = ipaddress.IPv4Network("198.18.0.0/15")
    last = ipaddress.IPv4Network("198.18.77.4/30")
    others = list(everything.address_exclude(last))
    assert network.choose(others) == last
    with pytest.raises(LabError, match="no free network"):
        network.choose([everything])


def test_pod_ranges_of_nodes_are_apart_and_hold_no_node() -> None:
    pods = ipaddress.ip_network(network.PODS)
    seen: list[tuple[int, int]] = []
    for number in range(1, network.MAX_NODES + 1):
        first, last = (ipaddress.ip_address(text) for text in network.pod_range(number))
        assert first in pods
        assert last in pods
        assert not any(start <= int(last) and int(first) <= end for start, end in seen)
        assert int(ipaddress.ip_address(network.node_address(number))) < int(first)
        seen.append((int(first), int(last)))


def test_names_and_zones_of_nodes() -> None:
    assert [layout.on_node("kubelet", number) for number in (1, 2)] == ["kubelet", "kubelet-2"]
    assert [layout.zone(number) for number in range(1, 5)] == ["a", "b", "c", "a"]


def test_given_flags_win() -> None:
    assert layout.flags({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == ("--a=1", "--b=3", "--c=4")


# --- images and processes -----------------------------------------------------------------------------------------


def test_an_oci_archive_is_complete_and_reproducible(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    ref = "docker.io/example/x:1"
    for name in ("one.tar", "two.tar"):
        oci.write_archive(tmp_path / name, ref, {"/app": program}, ["/app"])
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        blobs = {m.name: f.read() for m in archive if (f := archive.extractfile(m))}
    assert json.loads(blobs["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (named,) = json.loads(blobs["index.json"])["manifests"]
    assert named["annotations"]["io.containerd.image.name"] == ref
    manifest = json.loads(blob(blobs, named))
    config = json.loads(blob(blobs, manifest["config"]))
    assert config["config"]["Entrypoint"] == ["/app"]
    (layer,) = manifest["layers"]
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    (tmp_path / "layer.tar").write_bytes(blob(blobs, layer))
    with tarfile.open(tmp_path / "layer.tar") as files:
        assert {(m.name, m.mode, m.uid) for m in files} == {("tmp", 0o1777, 0), ("app", 0o755, 0)}


def blob(blobs: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    content = blobs["blobs/" + descriptor["digest"].replace(":", "/")]
    assert descriptor["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert descriptor["size"] == len(content)
    return content


def pod(**states: str) -> dict[str, object]:
    statuses = [
        {"name": name, "containerID": f"containerd://id-{name}", "state": {state: {}}} for name, state in states.items()
    ]
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": statuses}}


def test_container_ids_are_of_running_containers() -> None:
    assert cri.container_ids(pod(a="running", b="terminated", c="running"), None) == ["id-a", "id-c"]
    assert cri.container_ids(pod(a="running", c="running"), "c") == ["id-c"]
    with pytest.raises(LabError, match="no container b of pod p runs"):
        cri.container_ids(pod(a="running", b="waiting"), "b")


def test_what_holds_pods_up_is_told_in_the_words_of_scheduler_and_kubelet() -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}
    containers = [
        {"name": "app", "image": "x:1", "state": waiting},
        {"name": "done", "image": "x:1", "state": {"terminated": {"reason": "Completed"}}},
        {"name": "good", "image": "x:1", "state": {"running": {}}},
    ]
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    pods = [
        {"metadata": {"name": "p"}, "status": {"containerStatuses": containers}},
        {"metadata": {"name": "q"}, "status": {"conditions": [unscheduled]}},
    ]
    assert held_up(pods) == ["p, container app (x:1): ErrImagePull no such host", "q is not scheduled: 0/1 nodes"]


def test_pids_are_those_in_a_containers_cgroup_of_this_lab(tmp_path: Path) -> None:
    for number, group in {"20": "/lab-a/k8s.io/id-x", "3": "/lab-a/k8s.io/id-x", "4": "/lab-b/k8s.io/id-x"}.items():
        (tmp_path / number).mkdir()
        (tmp_path / number / "cgroup").write_text(f"4:memory:{group}\n")
    (tmp_path / "5").mkdir()
    (tmp_path / "self").mkdir()
    assert cri.pids("lab-a", ["id-x"], tmp_path) == [3, 20]


def test_the_number_inside_is_the_last_of_nspid() -> None:
    assert control.inner_pid("Name:\tx\nNSpid:\t4711\t12\t3\nThreads:\t1\n") == 3


def test_cgroup_mounts_of_both_versions() -> None:
    info = (
        "24 1 0:22 / /proc rw,relatime - proc proc rw\n"
        "31 30 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
        "32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )
    assert sweep.cgroup_mounts(info) == [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/unified")]


# --- settings and certificates ------------------------------------------------------------------------------------


def test_pip_settings_of_files_and_environment_become_one_file() -> None:
    # As pip prints it: one line each, values as Python strings.
    listed = "\n".join(
        (
            "global.cert='/a b.pem'",
            "global.timeout='5'",
            r"install.find-links='\n/x\n/y'",
            ":env:.timeout='180'",
            ":env:.config-file='/c'",
            "user.user='1'",
        )
    )
    settings = host_settings.pip_settings(listed)
    assert settings["global"] == {"cert": "/a b.pem", "timeout": "180"}
    assert settings["install"] == {"find-links": "/x /y"}
    assert "user" not in settings


def test_certificates_say_who_and_where_and_are_signed_by_the_authority() -> None:
    authority = pki.Authority("lab")
    identity = authority.issue("jane", ["system:masters"], ["kubernetes", "198.18.0.2"])
    certificate = x509.load_pem_x509_certificate(identity.certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
    assert certificate.subject.rfc4514_string() == "CN=jane,O=system:masters"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["198.18.0.2"]
    key = serialization.load_pem_private_key(identity.key, None)
    assert key.public_key() == certificate.public_key()


def test_a_kubeconfig_holds_everything_itself() -> None:
    authority = pki.Authority("lab")
    content = yaml.safe_load(pki.kubeconfig("https://198.18.0.2:6443", authority.certificate, authority.issue("jane")))
    (cluster,), (user,) = content["clusters"], content["users"]
    assert cluster["cluster"]["server"] == "https://198.18.0.2:6443"
    assert set(cluster["cluster"]) == {"server", "certificate-authority-data"}
    assert set(user["user"]) == {"client-certificate-data", "client-key-data"}
    assert content["current-context"] == content["contexts"][0]["name"]


def test_secrets_are_nobody_elses(tmp_path: Path) -> None:
    pki.write(tmp_path, "jane", pki.Authority("lab").issue("jane"))
    assert (tmp_path / "jane.key").stat().st_mode & 0o777 == 0o600
