"""Which licences of weights somebody is content with. A policy is a name for a set of SPDX identifiers."""

import os
from collections.abc import Mapping

from tokodec.errors import InputError

VARIABLE = "TOKODEC_LICENCE_POLICY"
"""The environment variable whose policy holds for everything that is pulled and for pulled weights that are loaded."""

_PERMISSIVE = ("MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "CC0-1.0", "CC-BY-4.0", "Unlicense")

POLICIES: Mapping[str, frozenset[str] | None] = {"permissive": frozenset(name.lower() for name in _PERMISSIVE), "any": None}
"""By name, the licences that a policy allows, in lower case since SPDX has it that case does not matter; None: all."""


def allows(policy: str, licence: str) -> bool:
    """Whether a policy allows a licence. What is no plain identifier of its list, such as ``MIT OR ...``, it does not.

    Raises InputError for an unknown policy.
    """
    if policy not in POLICIES:
        raise InputError(f"there is no licence policy {policy!r}; there are {', '.join(POLICIES)}")
    allowed = POLICIES[policy]
    return allowed is None or licence.lower() in allowed


def matches(wanted: str, licence: str) -> bool:
    """Whether a licence is the one that is wanted, or one that the policy of that name allows."""
    return allows(wanted, licence) if wanted in POLICIES else wanted == licence


def in_force() -> str:
    """The policy of the environment."""
    return os.environ.get(VARIABLE) or "any"


def require(licence: str, what: str, policy: str | None = None) -> None:
    """Nothing, where both ``policy`` and that of the environment allow the licence of ``what``; an argument does not loosen the latter.

    Raises InputError, naming licence and policy, and for an unknown policy.
    """
    for asked, origin in ((policy, "--licence"), (in_force(), VARIABLE)):
        if asked is not None and not allows(asked, licence):
            raise InputError(f"{what} is under {licence}, which the policy {asked} ({origin}) does not allow")
