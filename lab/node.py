"""containerd and kubelet of each node, kube-proxy and CoreDNS: their files and command lines. Starts nothing."""

from __future__ import annotations

import json
from typing import Any, Final

import yaml

from . import network
from .control import Spec
from .layout import PAUSE_IMAGE, Layout, node_name, on_node, zone
from .model import LabError
from .preflight import find

DNS_TTL_SECONDS: Final = 5
DNS_READY_PORT: Final = 8181
PROXY_HEALTH_PORT: Final = 10256
_KUBELET_HEALTH_PORT: Final = 10248

# Cgroups of either version: the lab's own folder is what the kubelet sees as their root. No eviction: the disk is
# not the kubelet's.
_RESOURCES: Final[dict[str, Any]] = {
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": "/",
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "failCgroupV1": False,
    "localStorageCapacityIsolation": False,
    "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
    "imageGCHighThresholdPercent": 100,
}


def containerd(lab: Layout, number: int) -> Spec:
    """A node's container runtime, with state, root, socket and network plugins' data of its own."""
    folder = lab.node_folder(number)
    (folder / "cni").mkdir(parents=True)
    (folder / "cni" / "10-lab.conflist").write_text(json.dumps(_cni(lab, number)))
    config = folder / "containerd.toml"
    config.write_text(_containerd_config(lab, number))
    argv = (lab.programs["containerd"], "--config", str(config))
    return Spec(on_node("containerd", number), argv, {})


def _containerd_config(lab: Layout, number: int) -> str:
    """Its configuration. Quoting: TOML's basic strings are written as JSON's."""
    folder, quoted = lab.node_folder(number), json.dumps
    runtime = "plugins.'io.containerd.cri.v1.runtime'"
    runc = find("runc")
    if runc is None:
        raise LabError("runc is missing; on Debian or Ubuntu, as root: apt-get install runc")
    return f"""\
version = 3
root = {quoted(str(folder / "containerd"))}
state = {quoted(str(folder / "containerd-state"))}
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.erofs"]

[grpc]
address = {quoted(str(lab.containerd_socket(number)))}

[plugins.'io.containerd.internal.v1.opt']
path = {quoted(str(folder / "containerd-opt"))}

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = {quoted(PAUSE_IMAGE)}

[{runtime}]
# AppArmor profiles cannot be loaded from a namespace, and a score below the parent's needs a capability that
# containers and many virtual machines lack: without these two lines no container would start there.
disable_apparmor = true
restrict_oom_score_adj = true

[{runtime}.cni]
bin_dirs = [{quoted(str(lab.programs.cni))}]
conf_dir = {quoted(str(folder / "cni"))}

[{runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
runtime_path = {quoted(lab.programs["containerd-shim-runc-v2"])}

[{runtime}.containerd.runtimes.runc.options]
BinaryName = {quoted(str(runc))}
SystemdCgroup = false
"""


def _cni(lab: Layout, number: int) -> dict[str, Any]:
    first, last = network.pod_range(number)
    pods = {"subnet": network.PODS, "rangeStart": first, "rangeEnd": last, "gateway": network.node_address(number)}
    ipam = {
        "type": "host-local",
        "dataDir": str(lab.node_folder(number) / "cni-addresses"),
        "ranges": [[pods]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "ptp", "ipMasq": False, "ipam": ipam}
    return {"cniVersion": "1.0.0", "name": "lab", "plugins": [plugin]}


def kubelet(lab: Layout, number: int) -> Spec:
    """A node: its name is node-NUMBER, its zone a, b or c."""
    folder, name, address = lab.node_folder(number), node_name(number), network.node_address(number)
    resolv = folder / "resolv.conf"
    resolv.write_text(f"nameserver {network.node_address(1)}\n")
    config = folder / "kubelet.yaml"
    config.write_text(yaml.safe_dump(_kubelet_config(lab, number)))
    argv = (
        lab.programs["kubelet"],
        f"--config={config}",
        f"--kubeconfig={lab.folder / name}.kubeconfig",
        f"--hostname-override={name}",
        f"--root-dir={folder / 'kubelet'}",
        f"--node-ip={address}",
        f"--node-labels=topology.kubernetes.io/zone={zone(number)}",
    )
    return Spec(on_node("kubelet", number), argv, {})


def _kubelet_config(lab: Layout, number: int) -> dict[str, Any]:
    folder, name, address = lab.node_folder(number), node_name(number), network.node_address(number)
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # Nodes share a network namespace: each listens on its own address only.
        "address": address,
        "healthzBindAddress": address,
        "healthzPort": _KUBELET_HEALTH_PORT,
        "tlsCertFile": str(lab.pki / f"{name}.crt"),
        "tlsPrivateKeyFile": str(lab.pki / f"{name}.key"),
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(lab.pki / "ca.crt")},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [network.node_address(1)],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "containerRuntimeEndpoint": f"unix://{lab.containerd_socket(number)}",
        "podLogsDir": str(folder / "pod-logs"),
        "maxPods": 250,
        "makeIPTablesUtilChains": False,
        "failSwapOn": False,
        **_RESOURCES,
    }


def proxy(lab: Layout) -> Spec:
    """kube-proxy: one for all nodes, since they share a network namespace and so its rules."""
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(lab.folder / "kube-proxy.kubeconfig")},
        "clusterCIDR": network.PODS,
        "hostnameOverride": node_name(1),
        "healthzBindAddress": f"0.0.0.0:{PROXY_HEALTH_PORT}",
        "nftables": {"minSyncPeriod": "100ms"},
        # These are settings of the whole machine, not of the namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    file = lab.folder / "kube-proxy.yaml"
    file.write_text(yaml.safe_dump(config))
    return Spec("kube-proxy", (lab.programs["kube-proxy"], f"--config={file}"), {})


def coredns(lab: Layout) -> Spec:
    """Cluster DNS at the first node's address. Names outside of the cluster do not exist."""
    file = lab.folder / "Corefile"
    file.write_text(f"""\
.:53 {{
  bind {network.node_address(1)}
  errors
  ready 0.0.0.0:{DNS_READY_PORT}
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {lab.folder / "coredns.kubeconfig"}
    ttl {DNS_TTL_SECONDS}
  }}
}}
""")
    return Spec("coredns", (lab.programs["coredns"], "-conf", str(file)), {})
