"""Which kubeconfig a command uses that was given none."""

from __future__ import annotations

import os


def default_kubeconfig() -> str | None:
    """`~/.kube/config` where it exists; None leaves it to the client, which in a pod takes the service account."""
    path = os.path.expanduser("~/.kube/config")
    return path if os.path.exists(path) else None
