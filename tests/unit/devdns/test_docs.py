"""The pages say what the command takes and tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from grpcbalance.cli.dev import dns_command
from grpcbalance.devdns.changes import changes
from grpcbalance.devdns.names_file import Entry, read

from .asking import host

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "dev-dns.md").read_text()
HOWTO = (DOCS / "howto" / "develop-without-a-cluster.md").read_text()


def first_column(heading: str) -> list[str]:
    """Names in the first column of the first table below a heading, or of the page."""
    table = REFERENCE.partition(heading)[2].partition("\n|---")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)


def test_every_option_is_there() -> None:
    options = {name for option in dns_command.params for name in option.opts if name.startswith("--")}
    assert set(first_column("# `grpcbalance dev dns`")) == options


def test_every_field_of_the_names_file_is_there() -> None:
    assert first_column("## The names file") == [field.alias for field in Entry.model_fields.values()]


@pytest.mark.parametrize("page", [REFERENCE, HOWTO], ids=["reference", "howto"])
def test_names_files_are_read(page: str) -> None:
    blocks = re.findall(r"^( *)```yaml\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    for indent, block in blocks:
        assert "orders-headless.shop.svc.cluster.local" in read(re.sub(f"^{indent}", "", block, flags=re.MULTILINE))


def test_json_objects_are_as_told() -> None:
    objects = [json.loads(text) for text in re.findall(r"^\| `(\{.*?\})` \|", REFERENCE, re.MULTILINE)]
    assert [list(told) for told in objects] == [["listening"], ["change"], ["trouble"]]
    one, two = host("orders.test", "127.0.0.1"), host("orders.test", "127.0.0.1", "127.0.0.2")
    (change,) = changes({one.name: one}, {two.name: two})
    assert objects[1]["change"] == change.as_json()
