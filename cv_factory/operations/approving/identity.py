"""Who is at the keyboard, and whether that is another person than the one who started an execution.

STS names a user (``arn:aws:iam::…:user/ann``) or a session of a role (``arn:aws:sts::…:assumed-role/ROLE/SESSION``).
With IAM Identity Center the session's name is the person's; a session that a SDK named says nothing of the person.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contracts.release import UNKNOWN, recorded_identity

#: Names that SDKs and services give a session when nobody names it: botocore, the JavaScript, Go and Java SDKs, the
#: CLI's credential cache, the console's role switch by account root, and plain numbers.
_NAMED_BY_A_MACHINE = re.compile(
    r"(botocore-session-\d+|aws-sdk-(js|java|go)\S*|aws-go-sdk-\d+|AWSCLI-Session|cli-session-\d+|i-[0-9a-f]{8,}|\d+"
    r"|[0-9a-f]{16,}|default|session)",
    re.IGNORECASE,
)
_ROLE = re.compile(r"arn:aws[a-z-]*:sts::(\d{12}):assumed-role/(?:.*/)?([^/]+)/([^/]+)")
_USER = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}):user/(?:.*/)?([^/]+)")


@dataclass(frozen=True, slots=True)
class Identity:
    """An STS identity.

    Attributes:
        arn: as STS says it; empty: unknown.
        name: of the user or the session; empty where it names no person.
    """

    arn: str
    name: str

    @property
    def known(self) -> bool:
        """Whether a person can be told from it."""
        return bool(self.name)

    def __str__(self) -> str:
        return self.arn or "nobody knows"


def parse(arn: str) -> Identity:
    """The identity of an ARN of STS, or of what a package's metadata holds of one."""
    if arn in ("", UNKNOWN):
        return Identity("", "")
    role, user = _ROLE.fullmatch(arn), _USER.fullmatch(arn)
    if role is not None:
        session = role[3]
        return Identity(arn, "" if _NAMED_BY_A_MACHINE.fullmatch(session) else session.casefold())
    if user is not None:
        return Identity(arn, user[2].casefold())
    return Identity(arn, "")  # the account's root, a federated user: nobody in particular


def same(one: Identity, other: Identity) -> bool:
    """Whether both are one person: the same ARN, or the same name in whatever role."""
    if recorded_identity(one.arn) == recorded_identity(other.arn):
        return True
    return one.known and other.known and one.name == other.name
