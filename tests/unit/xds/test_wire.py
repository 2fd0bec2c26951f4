"""Messages in and out, by the bytes of the published definitions."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse
from google.protobuf.message import DecodeError

from grpcbalance.xds import wire
from grpcbalance.xds.kinds import Kind, Resource
from grpcbalance.xds.session import Request, Response
from grpcbalance.xds.wire import WORD, Node


def sent(**fields: object) -> bytes:
    message: bytes = DiscoveryRequest(**fields).SerializeToString()
    return message


def test_a_request() -> None:
    text = sent(type_url=Kind.LISTENER, resource_names=["a", "b"], version_info="7", response_nonce="n")
    assert wire.request(wire.decode(text)) == Request(Kind.LISTENER, ("a", "b"), "7", "n", None)


def test_an_empty_request() -> None:
    assert wire.request(wire.decode(b"")) == Request("", (), "", "", None)
    assert wire.node(wire.decode(b"")) is None


@pytest.mark.parametrize("words", ["too bad", ""])
def test_a_rejection_is_one_even_without_words(words: str) -> None:
    assert wire.request(wire.decode(sent(error_detail={"code": 3, "message": words}))).error == words


def test_a_node() -> None:
    told = {
        "id": "me",
        "cluster": "shop",
        "user_agent_name": "gRPC Go",
        "user_agent_version": "1.60.0",
        "locality": {"region": "r", "zone": "a"},
    }
    assert wire.node(wire.decode(sent(node=told))) == Node("me", "gRPC Go", "1.60.0", "a", "shop")
    assert wire.node(wire.decode(sent(node={}))) == Node()


def test_words_of_a_node_are_bounded_and_on_one_line() -> None:
    long = "x\n\x1b[31m" * WORD
    node = wire.node(
        wire.decode(
            sent(node={"id": long, "user_agent_name": long, "user_agent_version": long, "locality": {"zone": long}})
        )
    )
    assert node is not None
    for word in (node.id, node.agent, node.version, node.zone):
        assert word.isprintable()
        assert 0 < len(word) <= WORD


@pytest.mark.parametrize("text", [b"\xff", b"\x0a\x05ab", b"\x1a\x02\xff\xfe"], ids=["tag", "short", "not UTF-8"])
def test_what_is_no_request(text: bytes) -> None:
    with pytest.raises(DecodeError):
        wire.decode(text)


def test_a_response() -> None:
    resources = (Resource(Kind.CLUSTER, "a", "v", b"\x0a\x01a"), Resource(Kind.CLUSTER, "b", "w", b"\x0a\x01b"))
    message = DiscoveryResponse.FromString(wire.encode(Response(Kind.CLUSTER, "7", "n", resources)))
    assert (message.type_url, message.version_info, message.nonce) == (Kind.CLUSTER.value, "7", "n")
    assert [(one.type_url, one.value) for one in message.resources] == [
        (Kind.CLUSTER.value, one.body) for one in resources
    ]
    assert not DiscoveryResponse.FromString(wire.encode(Response(Kind.CLUSTER, "7", "n", ()))).resources
