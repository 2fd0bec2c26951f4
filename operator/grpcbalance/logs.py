"""Log lines: one JSON object, or one line of text, per record. Never the content of an object.

Text from the cluster may hold line breaks and terminal codes; they are escaped, so that no object can forge a line.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from .moments import to_text

# `extra` fields that may stand in a line; everything else is dropped, objects above all.
FIELDS: Final = ("key", "kind", "resource", "verb")


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, message, the fields of FIELDS, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: str(value) for name in FIELDS if (value := record.__dict__.get(name)) is not None},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class TextFormatter(logging.Formatter):
    """One line for people; a traceback follows on its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in record.getMessage())
        line = f"{_stamp(record)} {record.levelname:<7} {record.name}: {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _stamp(record: logging.LogRecord) -> str:
    return to_text(datetime.fromtimestamp(record.created, UTC), "milliseconds")


def configure(level: str, form: str) -> None:
    """Send every logger's records of a level (as of `logging`, in any case) on to stderr; `form`: json or text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # kopf says "Handler … succeeded" for every event of every object, and asyncio how it polls.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
