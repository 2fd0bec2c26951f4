"""`grpcbalance`, also `python -m grpcbalance`: finds the command and lets it work."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from . import __version__

# command -> (module, attribute); a module is imported when its command is wanted.
_COMMANDS: Final = {
    "crd": ("grpcbalance.cli.crd", "crd_command"),
    "dev": ("grpcbalance.cli.dev", "dev_command"),
    "diff": ("grpcbalance.cli.diff", "diff_command"),
    "operator": ("grpcbalance.cli.operator", "operator_command"),
    "status": ("grpcbalance.cli.status", "status_command"),
    "xds": ("grpcbalance.cli.xds", "xds_command"),
}


class _Commands(click.Group):
    """A group whose commands are imported late: none pays for what only another needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Names of all commands."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command of that name, or None."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command(cls=_Commands)
@click.version_option(__version__, prog_name="grpcbalance")
def main() -> None:
    """Client-side load balancing for gRPC on Kubernetes."""


if __name__ == "__main__":
    main(prog_name="grpcbalance")
