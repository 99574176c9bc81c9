"""What a check says."""

from __future__ import annotations

from dataclasses import asdict, dataclass

OK, WARNING, PROBLEM, UNSEEN = "ok", "warning", "problem", "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of the doctor's.

    Attributes:
        check: the name of the check that says it.
        status: ``ok``; ``warning``: it works, and might not for long; ``problem``: it does not work; ``not checked``:
            nobody could look.
        message: what was found, in words; may be empty when all is well.
        repair: the command that repairs it, or what a person has to do.
    """

    check: str
    status: str
    message: str
    repair: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)
