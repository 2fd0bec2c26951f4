"""Runs kubectl and says what went wrong."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from .model import LabError


def run(command: list[str], stdin: str | None, check: bool, timeout: float) -> str:
    """Standard output of a kubectl command. Raises LabError with its standard error, or when it takes too long.

    With `check` false a command that fails gives what it printed until then.
    """
    shown = "kubectl " + " ".join(arg for arg in command[1:] if not arg.startswith(("--kubeconfig=", "--cache-dir=")))
    try:
        answer = subprocess.run(command, input=stdin, check=False, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{shown}` took more than {timeout:g} s") from error
    if check and answer.returncode != 0:
        raise LabError(f"`{shown}` failed: {answer.stderr.strip()}")
    return answer.stdout


def get(command: list[str], timeout: float = 60) -> dict[str, Any]:
    """The object that a kubectl command with --output=json prints."""
    found: dict[str, Any] = json.loads(run(command, None, check=True, timeout=timeout))
    return found
