"""Whether clients of a namespace will know the look-aside balancer by its certificate, and what is told if not. Pure.

Who is pointed at a balancer whose certificate it does not trust has calls that fail, so that is tried before: with what
the client's pods would mount.
"""

from __future__ import annotations

from .api import Reason
from .names import AUTHORITY, AUTHORITY_KEY
from .optin import Problem


def no_authority(namespace: str) -> Problem:
    """There is no ConfigMap with the certificate of who signed the balancer's."""
    why = f"namespace {namespace} has no ConfigMap {AUTHORITY} with {AUTHORITY_KEY}, the certificate of who signed"
    fix = f"kubectl -n {namespace} create configmap {AUTHORITY} --from-file={AUTHORITY_KEY}"
    return Problem(Reason.XDS_NO_AUTHORITY, f"{why} the look-aside balancer's: {fix}")


def no_key(namespace: str) -> Problem:
    """There is one, and nothing in it under the key that pods mount."""
    why = f"ConfigMap {AUTHORITY} of namespace {namespace} has no key {AUTHORITY_KEY}; add it, with the certificate of"
    return Problem(Reason.XDS_NO_AUTHORITY, f"{why} who signed the look-aside balancer's")


def distrusted(namespace: str, host: str, why: str) -> Problem:
    """What stands there does not vouch for what the balancer serves as `host`. `why` is TLS's own word for it."""
    what = f"clients would not connect to the look-aside balancer: {why}. Its certificate has to be for {host}, and"
    whose = f"signed by one in {AUTHORITY_KEY} of ConfigMap {AUTHORITY} in namespace {namespace}"
    return Problem(Reason.XDS_NOT_TRUSTED, f"{what} {whose}")


def unreachable(host: str, port: int, why: str) -> Problem:
    """Nobody could be asked for a certificate."""
    text = f"the look-aside balancer does not answer at {host}:{port} ({why}): see its log, and NetworkPolicies"
    return Problem(Reason.XDS_NOT_SERVING, text)


def lasting(problem: Problem) -> Problem:
    """The same, told of a client that was moved before: its running pods go on."""
    return Problem(problem.reason, f"its new pods could not follow: {problem.message}")
