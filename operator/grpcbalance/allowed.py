"""Whether an object lets clients of a namespace in. Pure.

A reference across namespaces acts only when both sides agree: the workload's annotation names the object, and the
object's `allowedClients` lets the workload's namespace in. Whatever cannot be told for sure lets nobody in.
"""

from __future__ import annotations

from collections.abc import Mapping

from .api import LabelSelector, LabelSelectorRequirement, Spec
from .desired import read_spec
from .model import Balanced, Namespace
from .optin import Problem


def lets_in(balanced: Balanced, name: str, namespace: Namespace | None) -> bool:
    """Whether workloads of the namespace `name` may be clients of `balanced`; those of its own always may.

    `namespace` is that namespace as far as it is known. A spec that cannot be read lets in nobody from elsewhere.
    """
    if name == balanced.ref.namespace:
        return True
    spec = read_spec(balanced.spec)
    return not isinstance(spec, Problem) and admits(spec, namespace)


def admits(spec: Spec, namespace: Namespace | None) -> bool:
    """Whether a spec lets in clients from elsewhere: of this namespace, or None: of any that is not known."""
    allowed = spec.allowed_clients.namespaces
    if allowed.from_ != "Selector":
        return allowed.from_ == "All"
    return allowed.selector is not None and namespace is not None and matches(allowed.selector, dict(namespace.labels))


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether labels meet a label selector. An empty one is met by all, as everywhere in Kubernetes."""
    equal = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return equal and all(_meets(requirement, labels) for requirement in selector.match_expressions)


def _meets(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            # A missing label meets it, too.
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
