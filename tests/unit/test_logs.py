"""Log lines."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from grpcbalance import logs


def record(message: str, *args: object, error: BaseException | None = None, **extra: object) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("grpcbalance.x", logging.WARNING, "f.py", 1, message, args, info)
    made.__dict__.update(extra)
    return made


def test_json_is_one_object_on_one_line() -> None:
    line = logs.JsonFormatter().format(record("a %s\nb\x1b[31m", "ü\r\n", key="k\n1", body={"secret": 1}))
    assert "\n" not in line
    assert "\x1b" not in line
    content = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", content.pop("time"))
    assert content == {
        "level": "warning",
        "logger": "grpcbalance.x",
        "message": "a ü\r\n\nb\x1b[31m",
        "key": "k\n1",
    }


def raised() -> ValueError:
    with pytest.raises(ValueError, match="broken") as caught:
        raise ValueError("broken")
    return caught.value


def test_json_carries_the_traceback_inside() -> None:
    line = logs.JsonFormatter().format(record("oh", error=raised()))
    assert "\n" not in line
    assert json.loads(line)["exception"].startswith("Traceback")
    assert json.loads(line)["exception"].endswith("ValueError: broken")


def test_text_cannot_be_forged() -> None:
    line = logs.TextFormatter().format(record("name %s", "x\n2026-01-01T00:00:00.000Z ERROR fake\x1b[2J"))
    assert line.endswith(r"WARNING grpcbalance.x: name x\n2026-01-01T00:00:00.000Z ERROR fake\x1b[2J")


def test_text_shows_a_traceback() -> None:
    lines = logs.TextFormatter().format(record("oh", error=raised())).splitlines()
    assert lines[1].startswith("Traceback")
    assert lines[-1] == "ValueError: broken"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_configure_takes_level_and_format(root: logging.Logger) -> None:
    logs.configure("warning", "text")
    (handler,) = root.handlers
    assert isinstance(handler.formatter, logs.TextFormatter)
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr
    assert root.level == logging.WARNING
    logs.configure("debug", "json")
    assert isinstance(root.handlers[0].formatter, logs.JsonFormatter)
    assert logging.getLogger("kopf.objects").level == logging.WARNING
