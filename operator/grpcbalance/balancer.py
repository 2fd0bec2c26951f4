"""What a client is given to find the look-aside balancer: its bootstrap (gRFC A27), and what proves who it is. Pure."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from .names import (
    AUTHORITY_KEY,
    BOOTSTRAP,
    CALL_CREDENTIALS,
    PLAINTEXT_PORT,
    POD_NAME,
    PROOF_PATH,
    TLS_PORT,
    ZONE,
)
from .values import PROOF, FieldRef, Proof, Value

DEFAULT_SERVICE: Final = "grpcbalance-xds.grpcbalance-system"
# Seconds after which certificates are read again. Without a number it is ten minutes, and a certificate that was not
# there at first was not noticed for longer (docs/reference/xds-clients.md).
_REFRESH: Final = "60s"


class Balancer(NamedTuple):
    """Where the look-aside balancer is, and how clients prove who they are.

    `service` and `fallbacks` are Services as NAME.NAMESPACE, the latter for clients that cannot reach the first (A71).
    `plaintext`: clients that are only said to be ready connect in plain text, too.
    """

    service: str = DEFAULT_SERVICE
    fallbacks: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    plaintext: bool = False

    @classmethod
    def configured(cls, service: str, fallback: str | None, credentials: str, cluster_domain: str) -> Balancer:
        """As settings say it; `credentials` is `token` or `plaintext`."""
        return cls(service, (fallback,) if fallback else (), cluster_domain, credentials == "plaintext")

    @property
    def host(self) -> str:
        """The name that clients look up, and that the certificate has to be for."""
        return self._host(self.service)

    def entries(self, namespace: str, *, plaintext: bool) -> dict[str, Value]:
        """What containers of a namespace get beside their targets; the same for every service they call.

        What a value refers to comes before it: the kubelet expands `$(NAME)` only then.
        """
        found: dict[str, Value] = {
            POD_NAME: FieldRef("metadata.name"),
            # Copied from the node by clusters of 1.35 and newer; empty where it is not.
            ZONE: FieldRef("metadata.labels['topology.kubernetes.io/zone']"),
            BOOTSTRAP: self._bootstrap(namespace, plaintext),
        }
        if plaintext:
            return found
        # Without it a client leaves the token out, and says nothing (A97 is an experiment to libraries as yet).
        return found | {CALL_CREDENTIALS: "true", PROOF: Proof()}

    def _bootstrap(self, namespace: str, plaintext: bool) -> str:
        servers = [self._server(service, plaintext) for service in (self.service, *self.fallbacks)]
        node = {"id": f"$({POD_NAME})", "cluster": namespace, "locality": {"zone": f"$({ZONE})"}}
        return json.dumps({"xds_servers": servers, "node": node}, separators=(",", ":"))

    def _server(self, service: str, plaintext: bool) -> dict[str, Any]:
        host = self._host(service)
        # With it a client keeps what it knows whatever is deleted (A53).
        features = {"server_features": ["xds_v3", "ignore_resource_deletion"]}
        if plaintext:
            # The trailing dot spares a search list of DNS queries; certificates do not have it.
            return {
                "server_uri": f"dns:///{host}.:{PLAINTEXT_PORT}",
                "channel_creds": [{"type": "insecure"}],
                **features,
            }
        certificates = {"ca_certificate_file": f"{PROOF_PATH}/{AUTHORITY_KEY}", "refresh_interval": _REFRESH}
        return {
            "server_uri": f"dns:///{host}:{TLS_PORT}",
            "channel_creds": [{"type": "tls", "config": certificates}],
            "call_creds": [{"type": "jwt_token_file", "config": {"jwt_token_file": f"{PROOF_PATH}/token"}}],
            **features,
        }

    def _host(self, service: str) -> str:
        return f"{service}.svc.{self.cluster_domain}"
