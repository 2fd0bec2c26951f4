"""What a person can set about the look-aside balancer: one frozen object, made once.

Each field carries its help and its bounds, as those of the operator's `settings`, and becomes a flag and an
environment variable in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

from grpcbalance.settings import checked_namespace, setting, split_address


@dataclass(frozen=True, slots=True)
class XdsSettings:
    """All settings. Times are seconds."""

    namespace: str | None = setting(
        None,
        "Serve the services of this namespace only; nothing of the cluster's scope is read, so that Roles are "
        "permission enough, allowedClients with a selector let nobody in from elsewhere, and there is no "
        "--tls-address. By default those of all namespaces.",
    )
    plaintext_address: str | None = setting(
        None,
        "Where clients are served in plain text: HOST:PORT; an empty host is every address. Nobody can tell who they "
        "are, so they are told of services only whose allowedClients are All. By default nowhere.",
    )
    tls_address: str | None = setting(
        None,
        "Where clients are served over TLS: HOST:PORT. Each proves by the token of its service account, for the "
        "audience grpcbalance-xds, whose it is. By default nowhere.",
    )
    mtls_address: str | None = setting(
        None,
        "Where clients are served over mutual TLS: HOST:PORT. Each proves by a certificate that ca.crt has signed "
        "whose it is: among its names is spiffe://<trust domain>/ns/<namespace>/sa/<account>. By default nowhere.",
    )
    certificates: str = setting(
        "/etc/grpcbalance-xds/tls",
        "Folder with tls.crt, tls.key and, for mutual TLS, ca.crt: a mounted Secret of type kubernetes.io/tls. They "
        "are read again when they change.",
    )
    max_streams: int = setting(
        5000, "Clients connected at the same time; any more are refused, and try another replica.", low=1, high=100_000
    )
    max_names: int = setting(1000, "Services that one client may ask for at the same time.", low=1, high=100_000)
    requests_per_second: float = setting(
        500.0,
        "Requests of one client that are read per second, in the long run, and twenty times as many after a quiet "
        "time. Of those beyond, each waits. Every 256 bytes of one count like another one.",
        low=1.0,
        high=100_000.0,
    )
    http_address: str = setting(
        ":8080",
        "Where /livez, /readyz, /metrics, /debug/clients and /debug/services are served: HOST:PORT; an empty host is "
        "every address.",
    )
    log_level: str = setting("info", "Least severity that is logged.", choices=("debug", "info", "warning", "error"))
    log_format: str = setting("json", "One JSON object per line, or text for people.", choices=("json", "text"))
    kubeconfig: str | None = setting(
        None, "Kubeconfig file, for running outside of a cluster. By default the pod's service account is used."
    )

    def __post_init__(self) -> None:
        """Raise ValueError for what bounds alone cannot say."""
        checked_namespace(self.namespace)
        split_address(self.http_address)
        if self.namespace is not None and self.tls_address is not None:
            raise ValueError(
                "--tls-address does not go with --namespace: whose a token is only the API server can tell, and to ask "
                "it takes a right of the cluster's scope (TokenReview); give --mtls-address or --plaintext-address"
            )
        for address in (self.plaintext_address, self.tls_address, self.mtls_address):
            if address is not None:
                split_address(address)
