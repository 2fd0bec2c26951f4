"""Resources that were built, for all clients that take the same. One service that cannot be built harms no other."""

from __future__ import annotations

import logging
from typing import NamedTuple

from .resources.catalog import Resources, Served, Variant, build, narrowed
from .resources.names import Name

logger = logging.getLogger(__name__)


class _Built(NamedTuple):
    service: Served
    resources: Resources


class Shelf:
    """Built resources by name and variant: what one client needed, most others need, too."""

    def __init__(self) -> None:
        # Variants are few: those of zones that the service has, or once had.
        self._built: dict[Name, dict[Variant, _Built]] = {}

    def resources(self, service: Served, client: Variant) -> Resources:
        """The resources of a service for a client.

        A state that cannot be built leaves clients with that of before: without the resources they would be told that
        the service is gone.
        """
        variants = self._built.setdefault(service.name, {})
        kept = narrowed(service, client)
        found = variants.get(kept)
        # The directory gives the same object as long as nothing has changed.
        if found is None or found.service is not service:
            found = variants[kept] = _Built(service, self._build(service, kept, found))
        return found.resources

    def _build(self, service: Served, client: Variant, former: _Built | None) -> Resources:
        try:
            return build(service, client)
        except Exception:
            logger.exception("%s cannot be told to clients, which keep what they have", service.name)
            return former.resources if former else {}

    def forget(self, name: Name) -> None:
        """Nobody asks for it any more."""
        self._built.pop(name, None)
