"""Which images are in the cluster that a command of the lab starts."""

from __future__ import annotations

import os
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from click.testing import CliRunner

import lab.__main__
from lab import images, install, namespaces


@pytest.mark.parametrize("command", [["shell"], ["exec", "--", "true"]], ids=["shell", "exec"])
@pytest.mark.parametrize(("flags", "languages"), [([], ["go"]), (["--all-examples"], list(images.LANGUAGES))])
def test_all_examples_are_built_and_in_the_cluster_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, command: list[str], flags: list[str], languages: list[str]
) -> None:
    built: list[bool] = []
    provided: list[str] = []
    cluster = MagicMock()
    cluster.__enter__.return_value = SimpleNamespace(name="lab", run_dir="lab", environment=dict(os.environ))
    monkeypatch.setattr(lab.__main__, "_build", built.append)
    monkeypatch.setattr(lab.__main__, "Lab", lambda *_, **__: cluster)
    monkeypatch.setattr(namespaces, "is_private", lambda: False)
    monkeypatch.setattr(namespaces, "enter_private", lambda: None)
    monkeypatch.setattr(namespaces, "run", lambda *_: 0)
    monkeypatch.setattr(install, "provide_images", lambda _, wanted: provided.extend(wanted))
    result = CliRunner().invoke(lab.__main__.main, [command[0], *flags, *command[1:]])
    assert result.exit_code == 0, result.output
    assert built == [bool(flags)]
    assert provided == languages
