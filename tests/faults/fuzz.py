"""Objects by the schema of the definition, and just outside of it: what hypothesis makes of it."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from grpcbalance.crd import custom_resource_definition

Schema = dict[str, Any]
Json = st.SearchStrategy[Any]

# Beside what fits, now and then: what no schema has in mind.
ODD: Final = (
    "",
    " ",
    "a\nb",
    "\u202eorders",
    "or\u200bders",
    "$(HOME)",
    "{{ x }}",
    "../../x",
    "1",
    "é" * 300,
    "x" * 70_000,
)


def spec_schema() -> Schema:
    """The schema of `.spec`, as the API server is given it."""
    (version,) = custom_resource_definition()["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def values(schema: Schema) -> Json:
    """Values that fit a schema, more or less."""
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), st.sampled_from(ODD))
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(st.integers(-1, 70_000), st.sampled_from(["grpc", "8a", "", "a" * 16]))
    return _BY_TYPE[schema["type"]](schema)


def _strings(schema: Schema) -> Json:
    fits = st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else st.text(max_size=40)
    return st.one_of(fits, st.text(max_size=schema.get("maxLength", 40) + 1), st.sampled_from(ODD))


def _numbers(schema: Schema) -> Json:
    low, high = int(schema.get("minimum", -5)), int(schema.get("maximum", 100_000))
    whole = st.integers(low - 1, high + 1)
    return whole if schema["type"] == "integer" else st.one_of(whole, st.floats(low - 1, high + 1))


def _objects(schema: Schema) -> Json:
    if "additionalProperties" in schema:
        keys = st.one_of(st.sampled_from(["app", "example.org/x"]), st.text(max_size=5))
        most = schema.get("maxProperties", 16) + 1
        return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=most)
    required = set(schema.get("required", ()))
    fields = {name: values(inner) for name, inner in schema.get("properties", {}).items()}
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in fields.items() if name in required},
        optional={name: strategy for name, strategy in fields.items() if name not in required},
    )


def _arrays(schema: Schema) -> Json:
    return st.lists(values(schema["items"]), max_size=min(schema.get("maxItems", 4), 4))


_BY_TYPE: Final = {
    "string": _strings,
    "integer": _numbers,
    "number": _numbers,
    "boolean": lambda _: st.booleans(),
    "object": _objects,
    "array": _arrays,
}
