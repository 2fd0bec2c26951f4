"""Settings from environment variables. Needs the standard library only."""

import json
import os
import re
import sys

_INT32_MAX = 2**31 - 1  # more does not fit into an option of a channel or a server; it is 24 days


class Env:
    """Reads variables. One that is set to the empty text counts as unset.

    Mistakes are collected, so that one start of the program names all of them: call check before using a value.
    """

    def __init__(self) -> None:
        self.set: dict[str, str] = {}  # the variables found set, with their text
        self._mistakes: list[str] = []

    def text(self, name: str) -> str:
        """Return the variable's text, empty if it is unset."""
        value = os.environ.get(name, "")
        if value:
            self.set[name] = value
        return value

    def millis(self, name: str) -> int | None:
        """Return a number of milliseconds, or None if the variable is unset.

        There is no way to ask for 0: it means "never" to some gRPC libraries and "at once" to others.
        """
        want = f"a whole number of milliseconds, 1 to {_INT32_MAX}, such as 30000 (leave it unset for the default)"
        return self.number(name, _INT32_MAX, want)

    def number(self, name: str, most: int, want: str) -> int | None:
        """Return a whole number from 1 to most, or None; want tells the reader of a mistake what is expected."""
        text = self.text(name)
        if not text:
            return None
        if re.fullmatch("[0-9]{1,10}", text) and 1 <= int(text) <= most:
            return int(text)
        self.mistake(name, want)
        return None

    def flag(self, name: str) -> bool:
        """Return whether the variable is "true"; unset is false."""
        text = self.text(name)
        if text not in {"", "true", "false"}:
            self.mistake(name, "true or false")
        return text == "true"

    def mistake(self, name: str, want: str) -> None:
        """Note that a variable is not what is wanted there."""
        value = json.dumps(self.set.get(name, ""), ensure_ascii=False)
        self._mistakes.append(f"{name}={value}: want {want}")

    def check(self) -> None:
        """End the program with exit code 1 if there were mistakes, and say which."""
        if self._mistakes:
            sys.exit("\n".join(self._mistakes))
