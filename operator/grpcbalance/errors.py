"""What can go wrong with a request to the API server, sorted by what the caller should do about it.

`kube` raises these, the reconcilers and the queue act on them. Nothing of a transport may leak through here.
"""

from __future__ import annotations

from typing import Final

_MESSAGE_LENGTH: Final = 512


def one_line(text: str, length: int = _MESSAGE_LENGTH) -> str:
    """Foreign text fit for a log line or a status message: control characters become spaces, so many at most."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:length]


class KubeError(Exception):
    """The API server did not do what was asked; its message, on one line, is the argument."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class Conflict(KubeError):  # noqa: N818 - named by what it tells, as callers read it
    """409: the object exists already, or is not in the state that the request presumed. Look, then decide again."""


class Gone(KubeError):  # noqa: N818 - named by what it tells, as callers read it
    """404: the object, its namespace or its kind does not exist."""


class Invalid(KubeError):  # noqa: N818 - named by what it tells, as callers read it
    """The request was refused (400, 403, 413, 415, 422 …); repeating it at once cannot help."""


class WouldWrite(Invalid):
    """Nothing was sent, since the operator runs with --dry-run; the message is what would have been written."""


class Forbidden(Invalid):
    """403 of the authorizer: a permission is missing, or the API server has just started and knows of none yet."""


class Retry(KubeError):  # noqa: N818 - named by what it tells, as callers read it
    """The server is away, busy or broken. `after` is the delay it asked for in seconds, None for the usual back-off."""

    def __init__(self, after: float | None, message: str) -> None:
        super().__init__(message)
        self.after = after


class Expired(Retry):
    """410: the continue token of a paged LIST is too old; begin anew."""

    def __init__(self, message: str) -> None:
        super().__init__(None, message)
