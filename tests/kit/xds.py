"""The look-aside balancer as tests see it: clients that are pointed at it by hand, its pods, what they tell."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Iterator
from typing import Any, Final

from grpcbalance.names import AUDIENCE
from lab import Cluster, Lab
from lab.install import NAMESPACE, XDS_DEPLOYMENT
from lab.pki import Authority, Identity
from lab.rest import Object, Rest, path
from tests.kit import objects, programs
from tests.kit.shop import ROLLOUT, Shop

ADDRESS: Final = f"dns:///grpcbalance-xds.{NAMESPACE}.svc.cluster.local.:18000"
OPEN: Final = {"allowedClients": {"namespaces": {"from": "All"}}}
SECURE_ADDRESS: Final = f"dns:///grpcbalance-xds.{NAMESPACE}.svc.cluster.local:18001"
# Where the token and the authority's certificate are in a client's pod.
_PROOF: Final = "/var/run/grpcbalance"
SELECTOR: Final = "app.kubernetes.io/component=xds"


def bootstrap(address: str = ADDRESS, zone: str = "", namespace: str = "") -> str:
    """A bootstrap in plain text, whose node id is the pod's name; `namespace` is the client's."""
    server = {
        "server_uri": address,
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3", "ignore_resource_deletion"],
    }
    node = {"id": "$(POD_NAME)", "cluster": namespace, "locality": {"zone": zone}}
    return json.dumps({"xds_servers": [server], "node": node})


def secure_bootstrap() -> str:
    """A bootstrap over TLS, with the token of the pod's service account (gRFC A65, A97)."""
    tls = {"ca_certificate_file": f"{_PROOF}/ca.crt", "refresh_interval": "60s"}
    server = {
        "server_uri": SECURE_ADDRESS,
        "channel_creds": [{"type": "tls", "config": tls}],
        "call_creds": [{"type": "jwt_token_file", "config": {"jwt_token_file": f"{_PROOF}/token"}}],
        "server_features": ["xds_v3", "ignore_resource_deletion"],
    }
    return json.dumps({"xds_servers": [server], "node": {"id": "$(POD_NAME)", "locality": {}}})


def with_proof(deployment: Object) -> Object:
    """Let the client in a Deployment, made by `on_xds`, prove who it is. Needs a ConfigMap `xds-ca`."""
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    container["env"] = [entry for entry in container["env"] if entry["name"] != "GRPC_XDS_BOOTSTRAP_CONFIG"]
    container["env"] += [
        {"name": "GRPC_XDS_BOOTSTRAP_CONFIG", "value": secure_bootstrap()},
        {"name": "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP_CALL_CREDS", "value": "true"},
    ]
    container["volumeMounts"] = [{"name": "xds", "mountPath": _PROOF, "readOnly": True}]
    token = {"serviceAccountToken": {"audience": AUDIENCE, "path": "token"}}
    authority = {"configMap": {"name": "xds-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    spec["volumes"] = [{"name": "xds", "projected": {"sources": [token, authority]}}]
    return deployment


def mutual_bootstrap(namespace: str) -> str:
    """A bootstrap over mutual TLS to the balancer of a namespace (gRFC A65)."""
    files = {"ca_certificate_file": "ca.crt", "certificate_file": "tls.crt", "private_key_file": "tls.key"}
    tls = {key: f"{_PROOF}/{name}" for key, name in files.items()} | {"refresh_interval": "60s"}
    server = {
        "server_uri": f"dns:///grpcbalance-xds.{namespace}.svc.cluster.local:18002",
        "channel_creds": [{"type": "tls", "config": tls}],
        "server_features": ["xds_v3", "ignore_resource_deletion"],
    }
    return json.dumps({"xds_servers": [server], "node": {"id": "$(POD_NAME)", "locality": {}}})


def with_certificate(deployment: Object, namespace: str) -> Object:
    """Let the client in a Deployment, made by `on_xds`, prove who it is. Needs a Secret `xds-client`."""
    spec = deployment["spec"]["template"]["spec"]
    programs.set_env(deployment, {"GRPC_XDS_BOOTSTRAP_CONFIG": mutual_bootstrap(namespace)})
    spec["containers"][0]["volumeMounts"] = [{"name": "xds", "mountPath": _PROOF, "readOnly": True}]
    spec["volumes"] = [{"name": "xds", "secret": {"secretName": "xds-client"}}]
    return deployment


def make_certificate(api: Rest) -> bytes:
    """Create the Secret that the look-aside balancer serves with; answers with who signed it."""
    authority = Authority("xds")
    made = authority.issue("grpcbalance-xds", names=(f"grpcbalance-xds.{NAMESPACE}.svc.cluster.local",))
    make_secret(api, NAMESPACE, "grpcbalance-xds-tls", made, authority)
    return authority.certificate


def make_secret(api: Rest, namespace: str, name: str, identity: Identity, authority: Authority) -> None:
    """Create a Secret as cert-manager makes them."""
    data = {"tls.crt": identity.certificate, "tls.key": identity.key, "ca.crt": authority.certificate}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(content).decode() for name, content in data.items()},
    }
    api.create(path("v1", "secrets", namespace), secret)


def serve(shop: Shop, **spec: Any) -> None:
    """Two servers of `orders`, which take their time to go."""
    server = objects.server(replicas=2, annotations={"grpcbalance.dev/server": "orders"})
    server["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 5}}}
    shop.create(objects.balanced(**spec), server)
    # The values roll the servers once: only those of the last rollout are wanted.
    shop.wait_condition("ServersConfigured", within=ROLLOUT)
    shop.wait_rolled_out("orders")


def on_xds(
    deployment: Object, namespace: str, service: str = "orders", port: int = objects.PORT, address: str = ADDRESS
) -> Object:
    """The client in a Deployment calls a service by xDS instead of DNS; `address`: of the balancer, in plain text."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    names = {entry["name"] for entry in container["env"]}
    if "POD_NAME" not in names:
        container["env"] = [*objects.IDENTITY, *container["env"]]
    container["env"] += [
        {"name": f"GRPC_{service.upper()}_TARGET", "value": f"xds:///{service}.{namespace}:{port}"},
        {"name": "GRPC_XDS_BOOTSTRAP_CONFIG", "value": bootstrap(address, namespace=namespace)},
    ]
    return deployment


def pods(api: Rest) -> list[Object]:
    """Its pods that are not going."""
    found = api.items(path("v1", "pods", NAMESPACE), SELECTOR)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def kill(lab: Lab, api: Rest) -> None:
    """SIGKILL every replica; the kubelet starts them anew. Their kernel still closes their connections.

    Where it cannot, when a node is lost, clients notice at their next ping only: after five minutes.
    """
    signal_all(lab, api, signal.SIGKILL)


def signal_all(lab: Lab, api: Rest, number: signal.Signals) -> None:
    """Send a signal to every replica, to all at once: clients of one that is gone would go to the next."""
    for process in [one for pod in pods(api) for one in lab.pod_pids(NAMESPACE, pod["metadata"]["name"])]:
        os.kill(process, number)


def clients(cluster: Cluster, api: Rest) -> Iterator[dict[str, Any]]:
    """What /debug/clients of all replicas tells."""
    for pod in pods(api):
        name = f"{pod['metadata']['name']}:8080"
        text = cluster.kubectl("get", "--raw", path("v1", "pods", NAMESPACE, name, "proxy/debug/clients"))
        yield from json.loads(text)["clients"]


def wait_away(api: Rest, within: float = 30.0) -> None:
    """Wait until it is known that a replica is away: one that was killed counts as ready for a moment."""
    api.wait(
        path("apps/v1", "deployments", NAMESPACE, XDS_DEPLOYMENT),
        lambda d: d["status"].get("readyReplicas", 0) < d["spec"]["replicas"],
        within=within,
        what="a replica of the look-aside balancer is away",
    )


def wait_ready(api: Rest, within: float = 60.0) -> None:
    """Wait until its Deployment has all of its replicas."""
    api.wait(
        path("apps/v1", "deployments", NAMESPACE, XDS_DEPLOYMENT),
        lambda d: d["status"].get("readyReplicas") == d["spec"]["replicas"],
        within=within,
        what="look-aside balancer ready",
    )
