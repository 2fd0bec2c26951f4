"""The images that a cluster needs, as OCI archives in the cache: of the operator, and of the example programs.

Each is made once for its content. Import is the cluster's matter (Cluster.import_image).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from . import base, buildah, cache, oci, parts, preflight, progress
from .model import LabError

__all__ = ["LANGUAGES", "example_image", "go_image", "oci_archive", "operator_image"]

OPERATOR_REF: Final = "docker.io/grpcbalance/operator:dev"
# What the operator's image is made of, below the folder with the Dockerfile.
_INPUTS: Final = ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements/runtime.txt", "operator")
_NOT_INPUTS: Final = frozenset(
    {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules", "target", ".venv"}
)
# Languages of the example programs, and what their images start from.
_BASES: Final[Mapping[str, Callable[[], base.Bases]]] = {
    "python": base.python_bases,
    "node": base.node_bases,
    "java": base.java_bases,
}
LANGUAGES: Final = ("go", *_BASES)
_GO_FLAGS: Final = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")

oci_archive = oci.write_archive


def go_image(folder: Path, ref: str) -> Path:
    """Archive of an image whose entry point /app is the static program of a Go module. Raises LabError."""
    if not (folder / "go.mod").is_file():
        raise LabError(f"{folder} is no Go module: it has no go.mod")
    files = [file for file in _files(folder) if not file.name.endswith("_test.go")]
    key = cache.key(folder, files, ref, preflight.go_version(), *_GO_FLAGS)

    def make(target: Path) -> None:
        program = target.with_name(f"{target.name}.app")
        try:
            with progress.step(f"building the image {ref}"):
                parts.go_build(folder, str(program), list(_GO_FLAGS), (".",))
                oci.write_archive(target, ref, {"/app": program}, ["/app"])
        finally:
            program.unlink(missing_ok=True)

    return cache.provide(cache.entry(f"images/{_short(ref)}", key, ".tar"), make)


def operator_image(context: Path, ref: str = OPERATOR_REF) -> Path:
    """Archive of the image that the Dockerfile in `context` describes, on bases made here. Raises LabError.

    The Dockerfile's contract: `ARG BASE` and `ARG BUILDER` name the images it starts from.
    """
    inputs = list(operator_inputs(context))
    if not inputs or inputs[0] != context / "Dockerfile":
        raise LabError(f"there is no Dockerfile in {context}")
    return _image(context, inputs, ref, base.python_bases, ("BASE", "BUILDER"))


def example_image(examples: Path, language: str, ref: str) -> Path:
    """Archive of the image of the example program in a language (see LANGUAGES). Raises LabError.

    The contract of its Dockerfile: the context is the folder of all examples, `ARG RUN_IMAGE` and `ARG BUILD_IMAGE`
    name the images it starts from. Go's needs none of it: its image is one static program.
    """
    folder = examples / language
    if language == "go":
        return go_image(folder, ref)
    inputs = [
        folder / "Dockerfile",
        *(f for f in _files(folder) if f.name != "Dockerfile"),
        *_files(examples / "proto"),
    ]
    return _image(examples, inputs, ref, _BASES[language], ("RUN_IMAGE", "BUILD_IMAGE"))


def _image(
    context: Path, inputs: list[Path], ref: str, bases: Callable[[], base.Bases], arguments: tuple[str, str]
) -> Path:
    """Archive of an image; `inputs` are what it is made of, its Dockerfile first."""

    def make(target: Path) -> None:
        with progress.step(f"building the image {ref}"):
            buildah.build(context, ref, dict(zip(arguments, (made.run, made.build), strict=True)), dockerfile=inputs[0])
            buildah.push(ref, target)

    made = bases()
    key = cache.key(context, inputs, ref, made.key)
    return cache.provide(cache.entry(f"images/{_short(ref)}", key, ".tar"), make)


def operator_inputs(context: Path) -> Iterator[Path]:
    """The files that decide what is in the operator's image, the Dockerfile first."""
    for name in _INPUTS:
        path = context / name
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from _files(path)


def _files(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.rglob("*") if file.is_file() and not _NOT_INPUTS & set(file.relative_to(folder).parts)
    )


def _short(ref: str) -> str:
    return ref.rpartition("/")[2].replace(":", "-")
