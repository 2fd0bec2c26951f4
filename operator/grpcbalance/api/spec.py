"""The spec of a GrpcBalancedService. These types are the source of the CRD: change them, then `make crd`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from .client import Client
from .scalars import PORT_RULE, ApiModel, LabelKey, LabelValue, PortName, PortNumber, ServiceName, rules
from .server import Server


class ServiceRef(ApiModel):
    """A Service of the same namespace."""

    name: ServiceName = Field(..., description="Name of the Service whose selector and target port are taken.")


class Rollout(ApiModel):
    """How careful the operator is with restarts it causes."""

    allow_unsafe: bool = Field(
        False,
        description="Roll servers although clients that resolve every 30s may be left with the addresses of gone pods "
        "only.",
    )


class LabelSelectorRequirement(ApiModel):
    """One requirement of a label selector."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(self.operator in ['In', 'NotIn']) == (self.values.size() > 0)",
                "must be set for In and NotIn, and be empty for Exists and DoesNotExist",
                ".values",
            ),
        )
    )

    key: LabelKey = Field(..., description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(..., description="Relation to the values.")
    values: Annotated[list[LabelValue], Field(max_length=20)] = Field([], description="Values for In and NotIn.")


class LabelSelector(ApiModel):
    """A label selector, as everywhere in Kubernetes."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=4)] = Field(
        {}, description="Labels that must be equal."
    )
    match_expressions: Annotated[list[LabelSelectorRequirement], Field(max_length=3)] = Field(
        [], description="Requirements that must all hold."
    )


class AllowedNamespaces(ApiModel):
    """Which namespaces may hold clients, in the manner of Gateway API's allowedRoutes. The object's own always may."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.from == 'Selector' || !has(self.selector)", "is read only with from: Selector", ".selector"),
            # has(self.from), since the API server judges the default of the field above before it fills in this one's.
            (
                "has(self.selector) || !has(self.from) || self.from != 'Selector'",
                "is needed with from: Selector",
                ".selector",
            ),
        )
    )

    from_: Literal["Same", "All", "Selector"] = Field(
        "Same",
        alias="from",
        description="Same: that of this object only. All: every one. Selector: also those whose labels match.",
    )
    selector: LabelSelector | None = Field(
        None, description="Labels of the namespaces, for from: Selector. An empty one matches every namespace."
    )


class AllowedClients(ApiModel):
    """Whose workloads may name this object in their annotation."""

    namespaces: AllowedNamespaces = Field(AllowedNamespaces(), description="Namespaces of the clients.")


class Spec(ApiModel):
    """Desired balancing of one gRPC service."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.selector) != has(self.serviceRef)", "set exactly one of selector and serviceRef"),
            (
                "has(self.port) || has(self.serviceRef)",
                "port is required with a selector: the CONTAINER port, number or name",
            ),
            (
                "!has(self.serviceName) || !has(self.serviceRef) || self.serviceName != self.serviceRef.name",
                "must not be the Service of serviceRef: a headless one is made beside it; choose another name",
                ".serviceName",
            ),
            (
                "!self.client.tls || self.client.authority != '' || has(self.serviceRef)",
                "client.tls needs client.authority: the name in the servers' certificate, which rarely is "
                "the headless host",
                ".client.authority",
            ),
        )
    )

    selector: Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=16)] | None = Field(
        None,
        description="Labels of the server pods, as in a Service.",
        # As in a Service: two appliers must not each contribute half of a selector.
        json_schema_extra={"x-kubernetes-map-type": "atomic"},
    )
    service_ref: ServiceRef | None = Field(
        None, description="An existing Service to take selector and target port from."
    )
    port: PortNumber | PortName | None = Field(
        None,
        description="CONTAINER port of the servers, number or name: headless names do no port translation. "
        "Optional with a serviceRef of one port.",
        json_schema_extra={"x-kubernetes-int-or-string": True, **rules(PORT_RULE)},
    )
    service_name: ServiceName | None = Field(None, description="Name of the headless Service; default <name>-headless.")
    discovery: Literal["DNS", "XDS"] = Field(
        "DNS",
        description="How clients find endpoints.",
    )
    client: Client = Field(Client(), description="What clients are told.")
    server: Server = Field(
        Server(),
        description="What servers are told. Without a maximum connection age clients never notice a new pod.",
    )
    rollout: Rollout = Field(Rollout(), description="How careful the operator is with restarts it causes.")
    allowed_clients: AllowedClients = Field(AllowedClients(), description="Whose workloads may be clients.")


def parse_spec(raw: dict[str, Any]) -> Spec:
    """Read `.spec` of a live object. Raises pydantic.ValidationError; unknown fields are ignored."""
    return Spec.model_validate(raw)
