"""The operator's image: small, without anything that builds or installs, and run as nobody in particular."""

from __future__ import annotations

import json
import re
import tarfile
from typing import Any, NamedTuple

import pytest

from lab.images import operator_image
from lab.install import OPERATOR_IMAGE, ROOT

# Needs what builds images, though no cluster.
pytestmark = [pytest.mark.cluster, pytest.mark.needs_lab]

MOST_ABOVE_BASE = 150 * 10**6
BUILD_TOOLS = re.compile(r"(^|/)(bin/(gcc|cc|ld|make|pip[0-9.]*|uv|git)|(pip|setuptools|wheel|ensurepip))$")


class Image(NamedTuple):
    """Its config, and the files of each layer, base first: path -> bytes."""

    config: dict[str, Any]
    layers: list[dict[str, int]]


@pytest.fixture(scope="module")
def image() -> Image:
    with tarfile.open(operator_image(ROOT, OPERATOR_IMAGE)) as archive:

        def blob(digest: str) -> Any:
            return archive.extractfile("blobs/" + digest.replace(":", "/"))

        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]  # every OCI layout has one
        manifest = json.load(blob(index["manifests"][0]["digest"]))
        layers = []
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=blob(layer["digest"])) as content:
                layers.append({member.name: member.size for member in content})
        return Image(json.load(blob(manifest["config"]["digest"]))["config"], layers)


def test_it_is_small_above_its_base(image: Image) -> None:
    assert 0 < sum(size for layer in image.layers[1:] for size in layer.values()) < MOST_ABOVE_BASE


def test_nothing_in_it_builds_or_installs(image: Image) -> None:
    names = [name for layer in image.layers for name in layer]
    assert any(name.endswith("grpcbalance/main.py") for name in names)
    assert [name for name in names if BUILD_TOOLS.search(name)] == []


def test_it_runs_the_operator_as_no_root(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert [*image.config["Entrypoint"], *image.config["Cmd"]] == ["python3", "-m", "grpcbalance", "operator"]
