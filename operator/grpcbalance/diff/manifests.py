"""Text of a manifest file in, objects out, each with the place where it stands. Pure.

YAML as kubectl reads it: several documents, Lists, and dates that stay text. JSON is YAML.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml


class ManifestError(ValueError):
    """A manifest cannot be used; the message names the file, the line or the field, and what is wrong."""


class Manifest(NamedTuple):
    """An object, and the file and line that it begins at."""

    origin: str
    raw: dict[str, Any]

    @property
    def title(self) -> str:
        """Place, kind and name, for messages."""
        name = (self.raw.get("metadata") or {}).get("name", "")
        return f"{self.origin}: {self.raw['kind']} {name}".rstrip()


class _Loader(yaml.SafeLoader):
    """Without dates, which Kubernetes' YAML does not know."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, file: str) -> list[Manifest]:
    """Every object of a file; Lists are taken apart. Raises ManifestError."""
    try:
        loader = _Loader(text)
        found: list[Manifest] = []
        while loader.check_node() and (node := loader.get_node()) is not None:
            origin = f"{file}:{node.start_mark.line + 1}"
            found += _objects(loader.construct_document(node), origin)
        return found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        raise ManifestError(f"{where}: no valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ManifestError):
            raise
        raise ManifestError(f"{file}: no valid YAML: {' '.join(str(error).split())}") from error


def _objects(document: Any, origin: str) -> Iterator[Manifest]:
    if document is None:
        return
    if not isinstance(document, dict):
        raise ManifestError(f"{origin}: is not a Kubernetes object: a mapping with apiVersion and kind is expected")
    for key in ("apiVersion", "kind"):
        if not isinstance(document.get(key), str):
            raise ManifestError(f"{origin}: is not a Kubernetes object: {key} is missing")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item, origin)
        return
    yield Manifest(origin, document)
