"""What a person can set about the operator: one frozen object, made once. Reads no environment, decides nothing.

Each field carries its help and its bounds; `cli.operator` makes a flag and an environment variable of it, and
docs/reference/settings.md is compared with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .balancer import DEFAULT_SERVICE, Balancer

DEFAULT_DOMAIN: Final = "cluster.local"
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAMESPACE: Final = re.compile(_LABEL)
# With "-replicas" it still is a label.
_XDS_SERVICE: Final = re.compile(rf"[a-z]([a-z0-9-]{{0,52}}[a-z0-9])?\.{_LABEL}")


def setting(default: Any, text: str, **bounds: Any) -> Any:
    """A field with its help and bounds: `low` and `high`, both allowed themselves, or `choices`."""
    return field(default=default, metadata={"help": text, **bounds})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Times are seconds."""

    namespace: str | None = setting(
        None,
        "Work in this namespace only; nothing of the cluster's scope is read, so that Roles are permission enough. "
        "By default in all namespaces.",
    )
    max_concurrent_rollouts: int = setting(
        10,
        "Rollouts in flight at most, among all annotated workloads. More of them start as others finish.",
        low=1,
        high=10_000,
    )
    cluster_domain: str = setting(
        DEFAULT_DOMAIN,
        "DNS domain of the cluster, the end of every target. By default taken from the search list of "
        f"/etc/resolv.conf, else {DEFAULT_DOMAIN}.",
    )
    xds_service: str = setting(DEFAULT_SERVICE, "Service of the look-aside balancer, NAME.NAMESPACE.")
    xds_credentials: str = setting(
        "token",
        "How clients that are annotated grpcbalance.dev/xds: ready connect to the look-aside balancer: over TLS with a "
        "token of their service account, or in plain text, which serves only objects that let in everybody.",
        choices=("token", "plaintext"),
    )
    xds_fallback: str | None = setting(
        None,
        "Service of another look-aside balancer, NAME.NAMESPACE, for clients that cannot reach the first. Go, Java and "
        "Python use it, Node.js never does.",
    )
    server_wait: float = setting(
        300.0,
        "Seconds that a client waits at most for its servers to be configured first.",
        low=0.0,
        high=86_400.0,
    )
    rollout_deadline: float = setting(
        600.0,
        "Seconds without progress after which a rollout counts as failed, where Kubernetes itself sets no deadline: "
        "StatefulSets, DaemonSets, Deployments with an endless one.",
        low=1.0,
        high=86_400.0,
    )
    workers: int = setting(16, "Objects worked on at the same time.", low=1, high=256)
    writes_per_second: float = setting(
        100.0, "Writes to the API server per second, in the long run.", low=0.1, high=10_000.0
    )
    write_burst: int = setting(200, "Writes to the API server at once, after a quiet time.", low=1, high=100_000)
    resync_interval: float = setting(
        600.0,
        "Seconds between two complete listings of each kind, which repair what watches lost. Spread by a fifth.",
        low=10.0,
        high=86_400.0,
    )
    status_interval: float = setting(
        1.0, "Seconds between two status writes of one object, at least.", low=0.0, high=3_600.0
    )
    settle: float = setting(
        0.1, "Seconds that a change waits for others to come, so that they are handled at once.", low=0.0, high=60.0
    )
    retire_after: float = setting(
        60.0,
        "Seconds that a headless Service which nothing uses any more stays before it is deleted.",
        low=0.0,
        high=86_400.0,
    )
    dry_run: bool = setting(
        False,
        "Write nothing but Events, which tell what would be written; so do the log and a metric.",
    )
    http_address: str = setting(
        ":8080", "Where /livez, /readyz and /metrics are served: HOST:PORT; an empty host is every address."
    )
    log_level: str = setting("info", "Least severity that is logged.", choices=("debug", "info", "warning", "error"))
    log_format: str = setting("json", "One JSON object per line, or text for people.", choices=("json", "text"))
    kubeconfig: str | None = setting(
        None, "Kubeconfig file, for running outside of a cluster. By default the pod's service account is used."
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what bounds alone cannot say."""
        checked_domain(self.cluster_domain)
        checked_xds_service(self.xds_service)
        checked_xds_service(self.xds_fallback or self.xds_service)
        split_address(self.http_address)
        checked_namespace(self.namespace)

    @property
    def balancer(self) -> Balancer:
        """Where the look-aside balancer is, and how clients connect to it."""
        return Balancer.configured(self.xds_service, self.xds_fallback, self.xds_credentials, self.cluster_domain)


def checked_namespace(name: str | None) -> str | None:
    """The name of a namespace, or None, as it is. Raises ValueError when it can be none."""
    if name is not None and not _NAMESPACE.fullmatch(name):
        raise ValueError(f"namespace {name!r} is not the name of a namespace")
    return name


def checked_xds_service(name: str) -> str:
    """NAME.NAMESPACE of a Service as it is. Raises ValueError when it can be none."""
    if not _XDS_SERVICE.fullmatch(name):
        raise ValueError(
            f"xds service {name!r} is not NAME.NAMESPACE of a Service, with a name of at most 54 characters"
        )
    return name


def replicas_host(settings: Settings) -> str:
    """The name under which DNS has an address for each ready replica of the look-aside balancer."""
    name, _, namespace = settings.xds_service.partition(".")
    return f"{name}-replicas.{namespace}.svc.{settings.cluster_domain}"


def checked_domain(domain: str) -> str:
    """A cluster's domain as it is. Raises ValueError when it can be none."""
    if len(domain) > 200 or not _DOMAIN.fullmatch(domain):
        raise ValueError(f"cluster domain {domain!r} is not a DNS name without trailing dot")
    return domain


def split_address(address: str) -> tuple[str | None, int]:
    """Host (None for every address) and port of `[HOST]:PORT`. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise ValueError(f"address {address!r} is not HOST:PORT")
    return host or None, int(port)


def cluster_domain(resolv_conf: Path = Path("/etc/resolv.conf")) -> str | None:
    """Domain of the cluster that this pod runs in: the kubelet puts `svc.<domain>` into the search list.

    None when it is not there: outside of a cluster, or in a pod with a dnsPolicy of its own.
    """
    try:
        text = resolv_conf.read_text(errors="replace")
    except OSError:
        return None
    # resolv.conf(5): of several search lines the last one counts.
    searches = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == ["search"]]
    for name in searches[-1] if searches else ():
        label, _, domain = name.lower().rstrip(".").partition(".")
        if label == "svc" and _DOMAIN.fullmatch(domain):
            return domain
    return None
