"""Every name that grpcbalance gives or recognises: group, kinds, labels, annotations, variables, hosts.

Names are API: renaming one of them orphans what an earlier release wrote. Nothing here reads or decides.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

GROUP: Final = "grpcbalance.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "GrpcBalancedService"
PLURAL: Final = "grpcbalancedservices"
SHORT_NAME: Final = "gbs"
API_VERSION: Final = f"{GROUP}/{VERSION}"

# The manager in `metadata.managedFields` of everything we write. Changing it would strand fields for ever.
FIELD_MANAGER: Final = "grpcbalance"

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "grpcbalance"
# On our headless Service; the EndpointSlice controller copies it to the slices, which are watched by it.
LABEL_SERVICE: Final = f"{GROUP}/service"
LABEL_SERVICE_NAME: Final = "kubernetes.io/service-name"

ANNOTATION_PREFIX: Final = f"{GROUP}/"
ANNOTATION_SERVER: Final = f"{GROUP}/server"
ANNOTATION_CLIENT: Final = f"{GROUP}/client"
ANNOTATION_CONTAINERS: Final = f"{GROUP}/containers"
ANNOTATION_PAUSED: Final = f"{GROUP}/paused"
ANNOTATION_ON_REMOVE: Final = f"{GROUP}/on-remove"
ANNOTATION_XDS: Final = f"{GROUP}/xds"
ANNOTATION_INJECTED: Final = f"{GROUP}/injected"
# What a person may set on a workload; everything else under our prefix is a misspelling.
OPT_IN_ANNOTATIONS: Final = (
    ANNOTATION_SERVER,
    ANNOTATION_CLIENT,
    ANNOTATION_CONTAINERS,
    ANNOTATION_PAUSED,
    ANNOTATION_ON_REMOVE,
    ANNOTATION_XDS,
)

# On our headless Service: whose it is, since when nothing refers to it any more (RFC 3339), and with discovery XDS what
# clients are to be told when the object is gone (`kept`).
ANNOTATION_OWNER_UID: Final = f"{GROUP}/owner-uid"
ANNOTATION_UNREFERENCED: Final = f"{GROUP}/unreferenced-since"
ANNOTATION_KEPT: Final = f"{GROUP}/kept-spec"

# Sidecars that never are the application (design: "known sidecars are put aside").
SIDECARS: Final = frozenset(
    {
        "istio-proxy",
        "linkerd-proxy",
        "daprd",
        "otc-container",
        "vault-agent",
        "cloud-sql-proxy",
        "cloudsql-proxy",
        "envoy",
        "envoy-sidecar",
        "consul-dataplane",
        "kuma-sidecar",
        "fluent-bit",
        "oauth2-proxy",
    }
)

# What meshes read on namespaces and pod templates, as labels or as annotations; `mesh` knows what they mean.
LINKERD_INJECT: Final = "linkerd.io/inject"
LINKERD_SKIP_INBOUND: Final = "config.linkerd.io/skip-inbound-ports"
LINKERD_SKIP_OUTBOUND: Final = "config.linkerd.io/skip-outbound-ports"
ISTIO_NAMESPACE: Final = "istio-injection"
ISTIO_REVISION: Final = "istio.io/rev"
ISTIO_INJECT: Final = "sidecar.istio.io/inject"
ISTIO_TEMPLATES: Final = "inject.istio.io/templates"
ISTIO_SKIP_INBOUND: Final = "traffic.sidecar.istio.io/excludeInboundPorts"
ISTIO_SKIP_OUTBOUND: Final = "traffic.sidecar.istio.io/excludeOutboundPorts"
ISTIO_DATAPLANE: Final = "istio.io/dataplane-mode"
ISTIO_WAYPOINT: Final = "istio.io/use-waypoint"
KUMA_INJECT: Final = "kuma.io/sidecar-injection"
KUMA_SKIP_INBOUND: Final = "traffic.kuma.io/exclude-inbound-ports"
KUMA_SKIP_OUTBOUND: Final = "traffic.kuma.io/exclude-outbound-ports"
CONSUL_INJECT: Final = "consul.hashicorp.com/connect-inject"
CONSUL_SKIP_INBOUND: Final = "consul.hashicorp.com/transparent-proxy-exclude-inbound-ports"
CONSUL_SKIP_OUTBOUND: Final = "consul.hashicorp.com/transparent-proxy-exclude-outbound-ports"
MESH_KEYS: Final = frozenset(
    {
        LINKERD_INJECT,
        LINKERD_SKIP_INBOUND,
        LINKERD_SKIP_OUTBOUND,
        ISTIO_NAMESPACE,
        ISTIO_REVISION,
        ISTIO_INJECT,
        ISTIO_TEMPLATES,
        ISTIO_SKIP_INBOUND,
        ISTIO_SKIP_OUTBOUND,
        ISTIO_DATAPLANE,
        ISTIO_WAYPOINT,
        KUMA_INJECT,
        KUMA_SKIP_INBOUND,
        KUMA_SKIP_OUTBOUND,
        CONSUL_INJECT,
        CONSUL_SKIP_INBOUND,
        CONSUL_SKIP_OUTBOUND,
    }
)

SERVER_PREFIX: Final = "GRPC_SERVER"

# What clients on xDS get: these three are the libraries' own (gRFC A27, A97), the others are what ours refer to.
BOOTSTRAP: Final = "GRPC_XDS_BOOTSTRAP_CONFIG"
BOOTSTRAP_FILE: Final = "GRPC_XDS_BOOTSTRAP"
CALL_CREDENTIALS: Final = "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP_CALL_CREDS"
POD_NAME: Final = "GRPCBALANCE_POD_NAME"
ZONE: Final = "GRPCBALANCE_ZONE"
# The volume with the token and the authority's certificate, where it is mounted, and the key of that certificate.
PROOF_VOLUME: Final = "grpcbalance-xds"
PROOF_PATH: Final = "/var/run/secrets/grpcbalance.dev/xds"
AUTHORITY_KEY: Final = "ca.crt"
# The ConfigMap with it, in the namespaces of clients.
AUTHORITY: Final = "grpcbalance-xds-ca"
# Of tokens for the look-aside balancer, and its ports in manifests/xds.
AUDIENCE: Final = "grpcbalance-xds"
PLAINTEXT_PORT: Final = 18000
TLS_PORT: Final = 18001


def variable_stem(service: str) -> str:
    """The middle of a client's variable names: `orders-v2` becomes `ORDERS_V2`."""
    return re.sub(r"[^A-Z0-9]", "_", service.upper())


def client_prefix(service: str) -> str:
    """What the variables of a client of `service` begin with: `GRPC_ORDERS`."""
    return f"GRPC_{variable_stem(service)}"


def headless_name(service: str) -> str:
    """Default name of the headless Service. At most 54 + 9 = 63 characters, so it is always a valid one."""
    return f"{service}-headless"


def cluster_host(service_name: str, namespace: str) -> str:
    """`<service>.<namespace>.svc`: the part of a Service's DNS name that no cluster domain changes."""
    return f"{service_name}.{namespace}.svc"


def xds_target(balanced: str, namespace: str, port: int) -> str:
    """`xds:///<object>.<namespace>:<container port>`. Three slashes: else an authority would stand there (gRFC A47)."""
    return f"xds:///{balanced}.{namespace}:{port}"


def xds_host(balanced: str, namespace: str) -> str:
    """How a target `xds:///<object>.<namespace>:<port>` is told apart from DNS names: `<object>.<namespace>.xds`."""
    return f"{balanced}.{namespace}.xds"


def value_hash(value: str) -> str:
    """Short fingerprint of an injected value, as kept in the record; 48 bits are ample to notice an edit."""
    return hashlib.sha256(value.encode()).hexdigest()[:12]
