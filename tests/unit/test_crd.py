"""The CRD: each transform by itself, and what has to be true of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grpcbalance.__main__ import main
from grpcbalance.api import Spec
from grpcbalance.cli.crd import crd_text
from grpcbalance.crd import TRANSFORMS, Schema, SchemaError, custom_resource_definition, root_schema, structural

COMMITTED = Path(__file__).parents[2] / "crds" / "grpcbalancedservices.yaml"
# As stored: a spec has to leave room for the status in the 64 KiB of an object.
SPEC_BYTES = 33 * 1024

DEFINITIONS: dict[str, Schema] = {"Part": {"type": "object", "description": "A part.", "properties": {}}}

# transform, what it is given, what it makes of it
CASES: list[tuple[str, Schema, Schema]] = [
    ("inline_reference", {"$ref": "#/$defs/Part"}, DEFINITIONS["Part"]),
    (
        "inline_reference",
        {"$ref": "#/$defs/Part", "description": "My part.", "default": {}},
        {"type": "object", "description": "My part.", "default": {}, "properties": {}},
    ),
    ("inline_reference", {"type": "string"}, {"type": "string"}),
    (
        "drop_null",
        {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}], "description": "Text."},
        {"type": "string", "maxLength": 3, "description": "Text."},
    ),
    (
        "drop_null",
        {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}], "description": "My part."},
        {"type": "object", "description": "My part.", "properties": {}},
    ),
    (
        "drop_null",
        {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    ),
    ("drop_null", {"anyOf": [{"type": "integer"}]}, {"anyOf": [{"type": "integer"}]}),
    ("drop_null_default", {"type": "string", "default": None}, {"type": "string"}),
    ("drop_null_default", {"type": "string", "default": ""}, {"type": "string", "default": ""}),
    ("drop_null_default", {"type": "boolean", "default": False}, {"type": "boolean", "default": False}),
    (
        "int_or_string",
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "string", "maxLength": 5}],
        },
        {"x-kubernetes-int-or-string": True, "minimum": 1, "maximum": 9, "maxLength": 5},
    ),
    ("int_or_string", {"anyOf": [{"type": "integer"}]}, {"anyOf": [{"type": "integer"}]}),
    ("const_to_enum", {"const": "a", "type": "string"}, {"type": "string", "enum": ["a"]}),
    ("const_to_enum", {"enum": ["a", "b"]}, {"enum": ["a", "b"]}),
    ("exclusive_bounds", {"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
    ("exclusive_bounds", {"exclusiveMaximum": 1.5}, {"maximum": 1.5, "exclusiveMaximum": True}),
    ("exclusive_bounds", {"minimum": 0, "maximum": 2}, {"minimum": 0, "maximum": 2}),
    (
        "key_rules",
        {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "propertyNames": {
                "maxLength": 9,
                "x-kubernetes-validations": [{"rule": "self.size() > 1 && self != 'self_'", "message": "no"}],
            },
        },
        {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "x-kubernetes-validations": [
                {"rule": "self.all(key, key.size() > 1 && key != 'self_')", "message": "no"},
                {"rule": "self.all(key, key.size() <= 9)", "message": "must have keys of at most 9 characters"},
            ],
        },
    ),
    ("key_rules", {"type": "object", "maxProperties": 2}, {"type": "object", "maxProperties": 2}),
    (
        "nested_default",
        {"default": {"a": 1, "b": None, "c": 5}, "properties": {"a": {"default": 1}, "b": {}, "c": {"default": 4}}},
        {"default": {"c": 5}, "properties": {"a": {"default": 1}, "b": {}, "c": {"default": 4}}},
    ),
    ("nested_default", {"default": {"a": "b"}}, {"default": {"a": "b"}}),
    ("nested_default", {"default": [], "items": {}}, {"default": [], "items": {}}),
    ("drop_title", {"title": "Name", "type": "string"}, {"type": "string"}),
    ("one_line", {"description": "One\n\n  two."}, {"description": "One two."}),
    (
        "in_order",
        {
            "x-kubernetes-validations": [{"fieldPath": ".a", "message": "m", "rule": "r"}],
            "properties": {},
            "type": "object",
        },
        {
            "type": "object",
            "x-kubernetes-validations": [{"rule": "r", "message": "m", "fieldPath": ".a"}],
            "properties": {},
        },
    ),
]


def _apply(name: str, node: Schema) -> Schema:
    (transform,) = (transform for transform in TRANSFORMS if transform.name == name)
    return transform.apply(node, DEFINITIONS)


@pytest.mark.parametrize(("name", "node", "expected"), CASES)
def test_transform(name: str, node: Schema, expected: Schema) -> None:
    before = repr(node)
    assert _apply(name, node) == expected
    assert repr(node) == before, "a transform must not change what it is given"


def test_every_transform_has_a_case() -> None:
    assert {name for name, _, _ in CASES} == {transform.name for transform in TRANSFORMS}


def test_keywords_and_those_of_rules_come_in_order() -> None:
    _, node, expected = CASES[-1]
    made = _apply("in_order", node)
    assert list(made) == list(expected)
    assert list(made["x-kubernetes-validations"][0]) == ["rule", "message", "fieldPath"]


def test_an_unknown_keyword_is_an_error() -> None:
    with pytest.raises(SchemaError, match="contentEncoding"):
        structural({"type": "string", "contentEncoding": "base64"}, {})


def test_a_union_that_is_no_int_or_string_is_an_error() -> None:
    with pytest.raises(SchemaError, match="anyOf"):
        structural({"anyOf": [{"type": "integer"}, {"type": "string"}]}, {})


def test_a_key_constraint_that_cel_was_not_taught_is_an_error() -> None:
    with pytest.raises(SchemaError, match="minLength"):
        structural({"type": "object", "propertyNames": {"minLength": 2}}, {})


def test_children_are_transformed_too() -> None:
    leaf = {"title": "X", "type": "string"}
    tree = {"properties": {"title": {"items": leaf}}, "additionalProperties": leaf}
    assert structural(tree, {}) == {
        "properties": {"title": {"items": {"type": "string"}}},
        "additionalProperties": {"type": "string"},
    }


def test_the_committed_file_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == crd_text(), "crds/ and operator/grpcbalance/api differ; run: make crd"


def test_the_command_prints_the_file() -> None:
    result = CliRunner().invoke(main, ["crd"])
    assert (result.exit_code, result.output) == (0, crd_text())


def test_the_text_has_no_aliases() -> None:
    words = crd_text().split()
    assert [word for word in words if word.startswith(("&id", "*id"))] == []


def test_names_and_columns() -> None:
    crd = custom_resource_definition()
    (version,) = crd["spec"]["versions"]
    assert crd["metadata"]["name"] == "grpcbalancedservices.grpcbalance.dev"
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"]["shortNames"] == ["gbs"]
    assert "categories" not in crd["spec"]["names"]
    assert version["subresources"] == {"status": {}}
    shown = [column["name"].upper() for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert shown == ["READY", "ENDPOINTS", "SERVERS", "CLIENTS", "TARGET", "AGE"]


def _nodes(node: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "additionalProperties" in node:
        yield from _nodes(node["additionalProperties"], f"{path}{{}}")
    if "items" in node:
        yield from _nodes(node["items"], f"{path}[]")


NODES = [(path, node) for path, node in _nodes(root_schema()) if path]


def test_every_field_is_described() -> None:
    fields = [(path, node) for path, node in NODES if not path.endswith(("{}", "[]")) and path != ".metadata"]
    assert len(fields) > 100
    for path, node in fields:
        text = node.get("description", "")
        assert text.endswith("."), f"{path}: {text!r}"
        assert len(text) > 8, f"{path}: {text!r}"


def test_everything_is_bounded() -> None:
    for path, node in NODES:
        if path in {".apiVersion", ".kind", ".metadata"}:
            continue
        if node.get("type") == "string" or node.get("x-kubernetes-int-or-string"):
            assert "maxLength" in node or "enum" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path
            rules = " ".join(rule["rule"] for rule in node["x-kubernetes-validations"])
            assert "key.size() <=" in rules, path


def test_status_has_neither_defaults_nor_rules() -> None:
    # A default would be added to what the operator wrote, and so look like drift; a rule could refuse the write.
    assert [
        (path, key)
        for path, node in NODES
        if path.startswith(".status")
        for key in ("default", "pattern")
        if key in node
    ] == []
    ruled = [path for path, node in NODES if path.startswith(".status") and "x-kubernetes-validations" in node]
    assert ruled == [".status.endpoints.zones"], "only lengths of keys, which CEL alone can say"


def test_every_rule_says_what_to_do() -> None:
    found = [(path, rule) for path, node in _nodes(root_schema()) for rule in node.get("x-kubernetes-validations", ())]
    assert len(found) > 40
    for path, rule in found:
        assert len(rule["message"]) > 15, f"{path}: {rule}"


def test_every_pattern_of_the_spec_is_put_in_words() -> None:
    patterns = [(path, node) for path, node in NODES if "pattern" in node]
    assert len(patterns) > 20
    for path, node in patterns:
        rules = [rule["rule"] for rule in node["x-kubernetes-validations"]]
        assert any(".matches(" in rule for rule in rules), path


def _filled(schema: Schema, value: Any) -> Any:
    """`value` with the defaults of a structural schema, as the API server fills them in."""
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    value = dict(value)
    for name, child in schema["properties"].items():
        if name not in value and "default" in child:
            value[name] = child["default"]
        if name in value:
            value[name] = _filled(child, value[name])
    return value


@pytest.mark.parametrize(
    "given",
    [
        {"selector": {"app": "orders"}, "port": 5000},
        {"serviceRef": {"name": "orders"}, "client": {"env": {"target": {"name": "ADDRESS"}}}},
        {"selector": {"app": "orders"}, "port": "grpc", "client": {"healthCheck": {}, "keepalive": {}}},
        {"selector": {"app": "orders"}, "port": 1, "server": {"keepalive": {"time": "1m"}, "maxConnectionAge": "Off"}},
    ],
)
def test_both_ways_of_reading_a_spec_find_the_same_defaults(given: dict[str, Any]) -> None:
    stored = _filled(root_schema()["properties"]["spec"], given)
    assert Spec.model_validate(given) == Spec.model_validate(stored)
    assert Spec.model_validate(given).model_dump(by_alias=True, exclude_none=True) == stored


def _bytes(node: Schema) -> int:
    """Most bytes that a value takes as JSON, of text that needs no escapes."""
    if "enum" in node:
        return 2 + max(len(value) for value in node["enum"])
    if "maxLength" in node:
        return 2 + int(node["maxLength"])
    if node["type"] == "array":
        return 2 + int(node["maxItems"]) * (1 + _bytes(node["items"]))
    if "additionalProperties" in node:
        return 2 + int(node["maxProperties"]) * (317 + 4 + _bytes(node["additionalProperties"]))
    if "properties" in node:
        return 2 + sum(len(name) + 4 + _bytes(child) for name, child in node["properties"].items())
    return {"boolean": 5, "integer": 20, "number": 20}[node["type"]]


def test_the_largest_spec_leaves_room_for_the_status() -> None:
    assert _bytes(root_schema()["properties"]["spec"]) < SPEC_BYTES
