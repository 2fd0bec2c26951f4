"""The CustomResourceDefinition, computed from the types in `api`. Pure: no file, no cluster.

pydantic writes JSON Schema 2020-12; a CRD wants a structural OpenAPI 3.0 schema. What lies between is TRANSFORMS, in
order, each applied to one schema node at a time. A keyword that no transform has dealt with is an error, so that
nothing of a type is lost without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from .api import Spec, Status
from .api.scalars import DNS_LABEL, matches, rules
from .names import GROUP, KIND, PLURAL, SHORT_NAME, VERSION, headless_name

Schema = dict[str, Any]

# Keywords of a finished node, in the order they are written.
_KEYWORDS: Final = (
    "type", "description", "format", "default", "enum", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems", "minProperties", "maxProperties",
    "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    "x-kubernetes-validations", "required", "properties", "additionalProperties", "items",
)  # fmt: skip
_RULE_KEYWORDS: Final = ("rule", "message", "fieldPath")
_VALIDATIONS: Final = "x-kubernetes-validations"
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"


class SchemaError(ValueError):
    """A type of the API has something that a structural schema cannot say."""


def inline_reference(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Replace `$ref` by what it names; what stands beside it, such as a description, wins."""
    if "$ref" not in node:
        return node
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**definitions[node["$ref"].rpartition("/")[2]], **beside}


def drop_null(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Reduce `anyOf: [X, null]` to X: in a CRD, what is not required may be absent, and null is treated as absent."""
    branches = [branch for branch in node.get("anyOf", ()) if branch.get("type") != "null"]
    if "anyOf" not in node or len(branches) == len(node["anyOf"]):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if len(branches) > 1:
        return {**rest, "anyOf": branches}
    return {**inline_reference(branches[0], definitions), **rest}


def drop_null_default(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Drop `default: null`: nothing is stored for what is unset."""
    return {key: value for key, value in node.items() if key != "default" or value is not None}


def int_or_string(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Merge the branches of a marked integer-or-string into one node without a type: each bound knows its kind."""
    if not node.get(_INT_OR_STRING):
        return node
    merged: Schema = {key: value for key, value in node.items() if key != "anyOf"}
    for branch in node.get("anyOf", ()):
        merged.update({key: value for key, value in branch.items() if key not in {"type", "title"}})
    return merged


def const_to_enum(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Write `const: x` as `enum: [x]`; OpenAPI 3.0 has no const."""
    if "const" not in node:
        return node
    return {**{key: value for key, value in node.items() if key != "const"}, "enum": [node["const"]]}


def exclusive_bounds(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Write `exclusiveMinimum: 0` as `minimum: 0, exclusiveMinimum: true`, as OpenAPI 3.0 has it; the same above."""
    changed = dict(node)
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        value = node.get(exclusive)
        if value is not None and not isinstance(value, bool):
            changed |= {bound: value, exclusive: True}
    return changed


def key_rules(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Say in CEL what `propertyNames` says of a map's keys; `additionalProperties` stays, the schema of the values."""
    if "propertyNames" not in node:
        return node
    keys = dict(node["propertyNames"])
    found = []
    for rule in keys.pop(_VALIDATIONS, ()):
        of_key = re.sub(r"\bself\b", "key", rule["rule"])
        found.append({**rule, "rule": f"self.all(key, {of_key})"})
    longest = keys.pop("maxLength", None)
    if longest is not None:
        found.append(
            {
                "rule": f"self.all(key, key.size() <= {longest})",
                "message": f"must have keys of at most {longest} characters",
            }
        )
    if keys.keys() - {"type"}:
        raise SchemaError(f"a map's keys cannot be held to {sorted(keys)}")
    rest = {key: value for key, value in node.items() if key != "propertyNames"}
    return {**rest, _VALIDATIONS: [*node.get(_VALIDATIONS, ()), *found]}


def nested_default(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Keep of an object's default only what its properties' own defaults do not fill in anyway, mostly `{}`.

    The API server fills defaults in from the outside to the inside, so nothing is lost, and each stands in one place.
    """
    default, properties = node.get("default"), node.get("properties")
    if not isinstance(default, dict) or properties is None:
        return node
    kept = {key: value for key, value in default.items() if value != properties[key].get("default")}
    return {**node, "default": kept}


def drop_title(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Drop `title`: pydantic makes it from the name that stands there already."""
    return {key: value for key, value in node.items() if key != "title"}


def one_line(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Join the lines of a description that comes from a docstring."""
    if "description" not in node:
        return node
    return {**node, "description": " ".join(node["description"].split())}


def in_order(node: Schema, _: Mapping[str, Schema]) -> Schema:
    """Bring keywords, and those of rules, into their order. Raises SchemaError for a keyword that is left over."""
    unknown = sorted(node.keys() - set(_KEYWORDS))
    if unknown:
        raise SchemaError(f"{unknown} have no place in a structural schema: {str(node)[:200]}")
    ordered: Schema = {key: node[key] for key in _KEYWORDS if key in node}
    if _VALIDATIONS in node:
        ordered[_VALIDATIONS] = [
            {key: rule[key] for key in _RULE_KEYWORDS if key in rule} for rule in node[_VALIDATIONS]
        ]
    return ordered


class Transform(NamedTuple):
    """One step on one node. `apply(node, definitions)` gives a new node and leaves the children alone."""

    name: str
    apply: Callable[[Schema, Mapping[str, Schema]], Schema]


# The order matters: what a reference or a null hides must be in the open for those that follow.
TRANSFORMS: Final = tuple(
    Transform(apply.__name__, apply)
    for apply in (
        inline_reference,
        drop_null,
        drop_null_default,
        int_or_string,
        const_to_enum,
        exclusive_bounds,
        key_rules,
        nested_default,
        drop_title,
        one_line,
        in_order,
    )
)


def structural(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """A structural schema that accepts what `node` accepts. Fields keep the order of the types."""
    for transform in TRANSFORMS:
        node = transform.apply(node, definitions)
    children: Schema = {}
    if "properties" in node:
        children["properties"] = {name: structural(child, definitions) for name, child in node["properties"].items()}
    children |= {key: structural(node[key], definitions) for key in ("additionalProperties", "items") if key in node}
    return {**node, **children}


def model_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of one type of the API."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return structural(schema, schema.pop("$defs", {}))


# On the root, the only place from where CEL sees the name.
ROOT_RULES: Final = rules(
    (
        f"{matches('self.metadata.name', DNS_LABEL)} && self.metadata.name.size() <= 54",
        "metadata.name must be at most 54 lower-case letters, digits and dashes, a letter first and no dash last: "
        "it becomes part of a Service's name and of variables' names",
    ),
    (
        "self.metadata.name != 'server'",
        "metadata.name must not be server: the variables of servers begin with GRPC_SERVER_",
    ),
    (
        "!has(self.spec.serviceRef) || has(self.spec.serviceName)"
        f" || self.spec.serviceRef.name != self.metadata.name + '{headless_name('')}'",
        "spec.serviceName is required when serviceRef names the Service that would be the default",
    ),
)


def root_schema() -> Schema:
    """Schema of the whole object."""
    text = {"type": "string"}
    about = {
        "apiVersion": "Version of the schema of this object.",
        "kind": "Kind of this object.",
    }
    return {
        "type": "object",
        "description": "Lets gRPC clients find, follow and spread over every ready pod of one service.",
        **ROOT_RULES,
        "required": ["spec"],
        "properties": {
            **{name: {**text, "description": description} for name, description in about.items()},
            "metadata": {"type": "object"},
            "spec": model_schema(Spec),
            "status": model_schema(Status),
        },
    }


def _column(name: str, path: str, description: str, **more: Any) -> Schema:
    return {"name": name, "type": "string", "description": description, "jsonPath": path, **more}


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


PRINTER_COLUMNS: Final = (
    _column("Ready", _ready("status"), "Whether clients can find and follow the servers."),
    _column("Endpoints", ".status.summary.endpoints", "Ready and all pods."),
    _column("Servers", ".status.summary.servers", "Configured and annotated server workloads."),
    _column("Clients", ".status.summary.clients", "Configured and annotated client workloads."),
    _column("Target", ".status.target", "What clients dial."),
    _column("Reason", _ready("reason"), "Why it is ready, or is not.", priority=1),
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)


def custom_resource_definition() -> Schema:
    """The whole CustomResourceDefinition, keys in the order they are written."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": list(PRINTER_COLUMNS),
        "schema": {"openAPIV3Schema": root_schema()},
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": [SHORT_NAME],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }
