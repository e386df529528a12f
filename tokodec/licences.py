"""Which licences of weights a user allows: all, or only those that ask for no more than a mention."""

import os
from collections.abc import Mapping

from tokodec.errors import InputError, LicenceRefused

VARIABLE = "TOKODEC_LICENCE_POLICY"
PERMISSIVE = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "Unlicense", "Zlib"})
POLICIES: Mapping[str, frozenset[str] | None] = {"any": None, "permissive": PERMISSIVE}
"""By name, the licences that a policy allows; None for all."""


def allows(policy: str, licence: str) -> bool:
    """Whether a policy, or the SPDX identifier of one licence, allows a licence. Identifiers are the same in any case, as SPDX has it."""
    allowed = POLICIES.get(policy, frozenset({policy}))
    return allowed is None or licence.casefold() in {one.casefold() for one in allowed}


def check(name: str, licence: str, asked: str | None = None) -> None:
    """Raise LicenceRefused for weights that the policy asked for, or that of the environment, does not allow.

    Raises InputError for a policy of the environment that there is none of.
    """
    policy = os.environ.get(VARIABLE) or "any"
    if policy not in POLICIES:
        raise InputError(f"{VARIABLE} = {policy!r}; there are {', '.join(POLICIES)}")
    for wanted, where in ((asked, "--licence"), (policy, VARIABLE)):
        if wanted is not None and not allows(wanted, licence):
            raise LicenceRefused(f"the weights of {name} are under {licence}, which {where} {wanted} does not allow")
