"""etcd, API server, controller manager and scheduler: their files and command lines. Starts nothing."""

from __future__ import annotations

from typing import Final

import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from . import network, pki
from .control import Spec
from .layout import Layout, apiserver_inside, flags, node_name

_ETCD: Final = "http://127.0.0.1:2379"
_ETCD_PEER: Final = "http://127.0.0.1:2380"
_ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
# Who reads at the API server, and as whom: kubeconfig name -> (user, groups).
_CLIENTS: Final = {
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kube-proxy": ("system:kube-proxy", ()),
    # Kubernetes has no role for CoreDNS out of the box, and this one runs outside of the cluster.
    "coredns": ("lab:coredns", ("system:masters",)),
}
# The default of the API server would rotate the log at 100 MB, and what was rotated away could not be counted.
_AUDIT_MEGABYTES: Final = 16384


def write_files(lab: Layout) -> None:
    """Certificates, kubeconfigs, the audit policy."""
    lab.pki.mkdir(mode=0o700)
    authority = pki.Authority(lab.name)
    (lab.pki / "ca.crt").write_bytes(authority.certificate)
    inside = ["127.0.0.1", network.node_address(1), network.FIRST_SERVICE, lab.link.lab]
    names = [f"kubernetes{end}" for end in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
    pki.write(lab.pki, "apiserver", authority.issue("kube-apiserver", names=["localhost", *names, *inside]))
    # Of the group that may do everything on kubelets: it asks them for logs and to run commands.
    pki.write(lab.pki, "apiserver-to-kubelet", authority.issue("kube-apiserver", ["system:masters"]))
    account_key = ec.generate_private_key(ec.SECP256R1())
    pki.write_secret(lab.pki / "accounts.key", pki.private_pem(account_key))
    (lab.pki / "accounts.pub").write_bytes(pki.public_pem(account_key))
    _write_clients(lab, authority)
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }
    (lab.folder / "audit-policy.yaml").write_text(yaml.safe_dump(policy))


def _write_clients(lab: Layout, authority: pki.Authority) -> None:
    clients = dict(_CLIENTS)
    for number in range(1, lab.nodes + 1):
        clients[node_name(number)] = (f"system:node:{node_name(number)}", ("system:nodes",))
    for name, (user, groups) in clients.items():
        names = ["localhost", "127.0.0.1", lab.link.lab]
        if name.startswith("node-"):
            names = [name, network.node_address(int(name.removeprefix("node-")))]
        identity = authority.issue(user, groups, names)
        pki.write(lab.pki, name, identity)
        content = pki.kubeconfig(apiserver_inside(), authority.certificate, identity)
        pki.write_secret(lab.folder / f"{name}.kubeconfig", content.encode())
    admin = authority.issue("lab:admin", ["system:masters"])
    pki.write(lab.pki, "admin", admin)
    pki.write_secret(lab.kubeconfig, pki.kubeconfig(lab.link.url, authority.certificate, admin).encode())


def etcd(lab: Layout) -> Spec:
    """One member that never waits for the disk: what it holds ends with the lab anyway."""
    own = {
        "name": "lab",
        "data-dir": str(lab.folder / "etcd"),
        "listen-client-urls": _ETCD,
        "advertise-client-urls": _ETCD,
        "listen-peer-urls": _ETCD_PEER,
        "initial-advertise-peer-urls": _ETCD_PEER,
        "initial-cluster": f"lab={_ETCD_PEER}",
        "unsafe-no-fsync": "true",
        "quota-backend-bytes": str(8 << 30),
        "log-level": "warn",
    }
    return Spec("etcd", (lab.programs["etcd"], *flags(own, {})), {})


def apiserver(lab: Layout) -> Spec:
    """The API server: default admission plugins, RBAC, an audit log of all requests."""
    own = {
        "etcd-servers": _ETCD,
        "secure-port": "6443",
        "bind-address": "0.0.0.0",  # noqa: S104 - in a network namespace that only its owner reaches
        "advertise-address": network.node_address(1),
        "service-cluster-ip-range": network.SERVICES,
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",
        "client-ca-file": str(lab.pki / "ca.crt"),
        "tls-cert-file": str(lab.pki / "apiserver.crt"),
        "tls-private-key-file": str(lab.pki / "apiserver.key"),
        "kubelet-client-certificate": str(lab.pki / "apiserver-to-kubelet.crt"),
        "kubelet-client-key": str(lab.pki / "apiserver-to-kubelet.key"),
        # Without it logs and exec would look the node's name up in DNS, where it is not.
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": _ISSUER,
        "service-account-key-file": str(lab.pki / "accounts.pub"),
        "service-account-signing-key-file": str(lab.pki / "accounts.key"),
        "audit-policy-file": str(lab.folder / "audit-policy.yaml"),
        "audit-log-path": str(lab.audit_log),
        "audit-log-maxsize": str(_AUDIT_MEGABYTES),
    }
    return Spec("kube-apiserver", (lab.programs["kube-apiserver"], *flags(own, lab.apiserver_args)), {})


def controller_manager(lab: Layout) -> Spec:
    """All controllers, with client limits so high that a benchmark does not measure them."""
    own = {
        **_client_flags(lab, "kube-controller-manager"),
        "root-ca-file": str(lab.pki / "ca.crt"),
        "service-account-private-key-file": str(lab.pki / "accounts.key"),
        "use-service-account-credentials": "true",
        "kube-api-qps": "1000",
        "kube-api-burst": "2000",
        "cluster-cidr": network.PODS,
        "allocate-node-cidrs": "false",
        # More than the default of 5 each, or thousands of objects queue up behind a few requests.
        "concurrent-deployment-syncs": "20",
        "concurrent-replicaset-syncs": "20",
        "concurrent-service-endpoint-syncs": "20",
    }
    name = "kube-controller-manager"
    return Spec(name, (lab.programs[name], *flags(own, lab.kcm_args)), {})


def scheduler(lab: Layout) -> Spec:
    """The scheduler, with client limits as the controller manager's."""
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(lab.folder / "kube-scheduler.kubeconfig"), "qps": 1000, "burst": 2000},
        "leaderElection": {"leaderElect": False},
    }
    file = lab.folder / "scheduler.yaml"
    file.write_text(yaml.safe_dump(config))
    own = {**_client_flags(lab, "kube-scheduler"), "config": str(file)}
    del own["kubeconfig"], own["leader-elect"]  # the file says it
    return Spec("kube-scheduler", (lab.programs["kube-scheduler"], *flags(own, {})), {})


def _client_flags(lab: Layout, name: str) -> dict[str, str]:
    kubeconfig = str(lab.folder / f"{name}.kubeconfig")
    return {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "leader-elect": "false",
        "tls-cert-file": str(lab.pki / f"{name}.crt"),
        "tls-private-key-file": str(lab.pki / f"{name}.key"),
    }
