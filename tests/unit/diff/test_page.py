"""docs/howto/preview.md tells of every key of the report, of every option it uses, and of the rules to leave out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from grpcbalance.__main__ import main
from grpcbalance.diff import report
from grpcbalance.permissions import PERMISSIONS

PAGE = (Path(__file__).parents[3] / "docs/howto/preview.md").read_text()
MODELS = [
    model
    for model in vars(report).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == report.__name__
]
KEYS = sorted({(model.__name__, field.alias or "") for model in MODELS for field in model.model_fields.values()})


def section(title: str) -> str:
    """From a heading to the next."""
    return re.split(r"\n##+ ", PAGE.partition(f"## {title}\n")[2])[0]


@pytest.mark.parametrize(("model", "key"), KEYS)
def test_the_page_names_every_key_of_the_report(model: str, key: str) -> None:
    code = " ".join(re.findall(r"`([^`]+)`", section("For scripts")))
    assert key in re.findall(r"\w+", code), f"{model} has a key of which the page does not tell"


def test_every_option_that_the_page_uses_is_one_of_the_command() -> None:
    lines = re.findall(r"grpcbalance diff(.*?)(?:#.*)?$", section("grpcbalance diff"), re.MULTILINE)
    used = {option for line in lines for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", line)}
    text = CliRunner().invoke(main, ["diff", "--help"]).output
    assert used
    assert used <= set(re.findall(r"--?[a-z][a-z-]*", text))


@pytest.mark.parametrize("resource", [key[1] for key, verbs in PERMISSIONS.items() if verbs - {"get", "list"}])
def test_the_page_tells_which_rules_a_dry_operator_does_without(resource: str) -> None:
    assert f"`{resource}`" in section("Which permissions can be left out")
