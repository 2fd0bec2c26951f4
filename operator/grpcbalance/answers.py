"""What an answer of the API server means: the object in it, or one of `errors`. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from .errors import Conflict, Expired, Forbidden, Gone, Invalid, KubeError, Retry, one_line

_UNAUTHORIZED: Final = re.compile(r'User ".*" cannot [a-z]+ resource "')
_BY_CODE: Final[dict[int, type[KubeError]]] = {404: Gone, 409: Conflict, 410: Expired}


def parsed(what: str, text: bytes) -> dict[str, Any]:
    """The JSON of an answer to `what`, such as "patch deployments". Raises Retry when it is none."""
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise Retry(None, f"{what}: the answer is no JSON") from error
    return answer


def failure(what: str, code: int, text: bytes, retry_after: str | None) -> KubeError:
    """The error that an answer to `what` stands for, with the server's own words."""
    message = f"{what}: {_message(text) or f'HTTP {code}'}"
    if code in _BY_CODE:
        return _BY_CODE[code](message)
    if code in (401, 408, 429) or code >= 500 or code < 400:
        after = float(retry_after) if retry_after and retry_after.isdecimal() else None
        return Retry(after if code == 429 else None, message)
    # Quotas and policies answer 403 as well, in other words.
    return Forbidden(message) if code == 403 and _UNAUTHORIZED.search(message) else Invalid(message)


def _message(text: bytes) -> str:
    """`message` of a Status, or the text itself when something else answered."""
    try:
        status = json.loads(text)
        return one_line(str(status["message"]))
    except (ValueError, KeyError, TypeError):
        return one_line(text[:2048].decode(errors="replace"))
