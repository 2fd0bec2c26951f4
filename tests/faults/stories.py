"""What users, neighbours and administrators do, as a table of stories: each tells what has to come of it.

A story plays in an empty namespace of its own; afterwards the oracles look at it that need no reference (O2 as far as
strangers go, and O3 to O6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.faults import stories_input as odd
from tests.faults import stories_neighbours as others
from tests.faults import stories_permissions as permissions
from tests.faults.runner import Terms
from tests.faults.world import World
from tests.kit.shop import Shop

Tell = Callable[[World, Shop], None]


@dataclass(frozen=True, slots=True)
class Story:
    """Numbers are those of the list of faults; `full`: not for every change."""

    number: int
    name: str
    tell: Tell
    terms: Terms = field(default_factory=Terms)
    full: bool = False

    def __str__(self) -> str:
        return f"{self.number}-{self.name}"


_FORBIDDEN: Final = Terms(forbidden=True)
# What is missing is told as an error, and kopf says so, too.
_MISSING: Final = Terms(forbidden=True, log="missing permissions|Request attempt #")
# kopf ends when its kind does, and is begun anew.
_ANEW: Final = Terms(log="watching ended|watching begins anew")

STORIES: Final = (
    Story(11, "foreign manager", others.foreign_manager, full=True),
    Story(19, "patch deployments", permissions.missing("patch", "deployments", restart=True), _MISSING),
    *(
        Story(
            19, f"{verb} {resource}, running", permissions.missing(verb, resource, restart=False), _MISSING, full=True
        )
        for verb, resource in permissions.TOLD_IN_STATUS
    ),
    *(
        Story(19, f"{verb} {resource}", permissions.missing(verb, resource, restart=True), _MISSING, full=True)
        for verb, resource in permissions.TOLD_AT_START
    ),
    Story(19, "all of them, and back", permissions.all_of_them, _MISSING, full=True),
    Story(22, "a script takes our variables away", others.contested, full=True),
    Story(23, "somebody's Service", others.service_of_somebody),
    Story(23, "another object's Service", others.other_owner, full=True),
    Story(26, "definition made anew", others.crd_made_anew, _ANEW, full=True),
    Story(26, "namespace deleted", others.namespace_deleted, _FORBIDDEN, full=True),
    Story(26, "deleted at once", others.deleted_at_once, full=True),
    Story(26, "a finalizer by hand", others.finalizer_by_hand, full=True),
    Story(28, "quota", others.quota, _FORBIDDEN, full=True),
    Story(28, "a policy that denies", others.policy_denies, _FORBIDDEN, full=True),
    Story(28, "restricted", others.pod_security, full=True),
    Story(29, "odd objects", odd.custom_resources, full=True),
    Story(30, "odd annotations", odd.odd_annotations, full=True),
    Story(31, "variables that collide", odd.env_collisions),
    Story(32, "endpoints of all kinds", odd.endpoints_of_all_kinds, full=True),
)
