"""What a client on xDS is given: its bootstrap word for word, since libraries differ on what they make of others."""

from __future__ import annotations

import json

import pytest

from grpcbalance.balancer import Balancer
from grpcbalance.names import BOOTSTRAP, POD_NAME, ZONE
from grpcbalance.values import PROOF, FieldRef, Proof

PLAINTEXT = (
    '{"xds_servers":[{"server_uri":"dns:///grpcbalance-xds.grpcbalance-system.svc.cluster.local.:18000",'
    '"channel_creds":[{"type":"insecure"}],"server_features":["xds_v3","ignore_resource_deletion"]}],'
    '"node":{"id":"$(GRPCBALANCE_POD_NAME)","cluster":"shop","locality":{"zone":"$(GRPCBALANCE_ZONE)"}}}'
)
SECURE = (
    '{"xds_servers":[{"server_uri":"dns:///grpcbalance-xds.grpcbalance-system.svc.cluster.local:18001",'
    '"channel_creds":[{"type":"tls","config":{"ca_certificate_file":"/var/run/secrets/grpcbalance.dev/xds/ca.crt",'
    '"refresh_interval":"60s"}}],"call_creds":[{"type":"jwt_token_file","config":'
    '{"jwt_token_file":"/var/run/secrets/grpcbalance.dev/xds/token"}}],'
    '"server_features":["xds_v3","ignore_resource_deletion"]}],'
    '"node":{"id":"$(GRPCBALANCE_POD_NAME)","cluster":"shop","locality":{"zone":"$(GRPCBALANCE_ZONE)"}}}'
)
REFERENCES = {
    POD_NAME: FieldRef("metadata.name"),
    ZONE: FieldRef("metadata.labels['topology.kubernetes.io/zone']"),
}


def test_in_plain_text() -> None:
    assert Balancer().entries("shop", plaintext=True) == {**REFERENCES, BOOTSTRAP: PLAINTEXT}


def test_over_tls_with_a_token() -> None:
    assert Balancer().entries("shop", plaintext=False) == {
        **REFERENCES,
        BOOTSTRAP: SECURE,
        # Exactly so: libraries leave the token out for any other value, and say nothing.
        "GRPC_EXPERIMENTAL_XDS_BOOTSTRAP_CALL_CREDS": "true",
        PROOF: Proof("grpcbalance-xds-ca"),
    }


@pytest.mark.parametrize("plaintext", [True, False])
def test_a_fallback_is_asked_in_the_same_way(plaintext: bool) -> None:
    # Never in plain text beside TLS: who can keep clients from the first would read along at the second.
    made = Balancer(service="one.a", fallbacks=("two.b",), cluster_domain="k8s.example").entries(
        "shop", plaintext=plaintext
    )
    first, second = json.loads(str(made[BOOTSTRAP]))["xds_servers"]
    assert "one.a.svc.k8s.example" in first["server_uri"]
    assert second == first | {"server_uri": first["server_uri"].replace("one.a", "two.b")}


@pytest.mark.parametrize(
    ("fallback", "credentials", "made"),
    [
        (None, "token", Balancer("one.a", (), "k8s.example", plaintext=False)),
        ("two.b", "plaintext", Balancer("one.a", ("two.b",), "k8s.example", plaintext=True)),
    ],
)
def test_settings_make_it(fallback: str | None, credentials: str, made: Balancer) -> None:
    assert Balancer.configured("one.a", fallback, credentials, "k8s.example") == made


def test_what_a_value_refers_to_comes_before_it() -> None:
    # The kubelet expands $(NAME) of earlier entries only.
    names = list(Balancer().entries("shop", plaintext=False))
    assert max(names.index(POD_NAME), names.index(ZONE)) < names.index(BOOTSTRAP)
