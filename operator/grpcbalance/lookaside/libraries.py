"""gRPC libraries by what they call themselves; what else a client says of itself is not repeated to anybody. Pure.

`xds.resources.features` has what each of them can. A client may call itself whatever it likes, and status is read by
people who may learn nothing of clients in other namespaces, and who should not be told what to do by one.
"""

from __future__ import annotations

import re
from typing import Final

UNKNOWN: Final = "another library"
_NUMBER: Final = r"[0-9]{1,4}\.[0-9]{1,4}(?:\.[0-9]{1,4})?(?:[-.]?(?:alpha|beta|dev|pre|rc|SNAPSHOT)[0-9.]{0,4})?"
_LANGUAGE: Final = r"(?:C\+\+|Python|Ruby|RUBY|PHP|ObjC|csharp)"
# `user_agent_name` and `user_agent_version` of a Node message.
_KNOWN: Final = tuple(
    (re.compile(name), re.compile(version))
    for name, version in (
        (
            rf"gRPC C-core(?: (?:linux|windows|osx|android|ios|freebsd|posix))?(?: {_LANGUAGE})?",
            rf"C-core {_NUMBER}(?: {_LANGUAGE} {_NUMBER})?",
        ),
        ("gRPC Java", _NUMBER),
        ("gRPC Go", _NUMBER),
        ("gRPC Node Pure JS", _NUMBER),
    )
)


def known(agent: str, version: str) -> bool:
    """Whether a client names a library and a version as one of them does."""
    return any(one.fullmatch(agent) and number.fullmatch(version) for one, number in _KNOWN)


def shown(agent: str, version: str) -> str:
    """A library and its version, as status tells of it."""
    return f"{agent} {version}" if known(agent, version) else UNKNOWN
