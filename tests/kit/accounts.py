"""The API as somebody else sees it: clients with the token of a ServiceAccount."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from lab import Cluster
from lab.install import NAMESPACE
from lab.rest import Rest, path


@contextmanager
def as_operator(cluster: Cluster, api: Rest, folder: Path, namespace: str = NAMESPACE) -> Iterator[Rest]:
    """A client with the operator's own token, as somebody would have it who got hold of that."""
    url = path("v1", "serviceaccounts", namespace, "grpcbalance-operator", "token")
    token = api.create(url, {"spec": {"expirationSeconds": 600}})["status"]["token"]
    admin = yaml.safe_load(cluster.kubeconfig.read_text())
    server = next(c["cluster"] for c in admin["clusters"])
    if "certificate-authority" in server:
        authority = (cluster.kubeconfig.parent / server.pop("certificate-authority")).read_bytes()
        server["certificate-authority-data"] = base64.b64encode(authority).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    kubeconfig = folder / "operator.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    with Rest(kubeconfig) as rest:
        yield rest
