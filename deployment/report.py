"""What the checks found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        id: what, for example ``inference.signature``; it never changes its meaning.
        ok: is it as it has to be?
        detail: what was seen and, where it is not ok, what would be right and what to run next.
        pending: it is not ok yet, and AWS is still at work: look again later.
        warning: it stops nothing, and a person should know it.
    """

    id: str
    ok: bool
    detail: str
    pending: bool = False
    warning: bool = False

    @property
    def failed(self) -> bool:
        return not self.ok and not self.pending


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one look. Exactly one of ``ok``, ``pending`` and ``failed`` is true."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.ok for finding in self.findings)

    @property
    def failed(self) -> bool:
        """Something is wrong that no waiting changes."""
        return any(finding.failed for finding in self.findings)

    @property
    def pending(self) -> bool:
        return not self.ok and not self.failed

    @property
    def message(self) -> str:
        """One line for a person: what is wrong, else what is waited for, else how much was looked at."""
        for chosen in (
            [finding for finding in self.findings if finding.failed],
            [finding for finding in self.findings if finding.pending],
        ):
            if chosen:
                return "; ".join(f"{finding.id}: {finding.detail}" for finding in chosen)
        return f"all {len(self.findings)} checks hold{self.warnings}"

    @property
    def warnings(self) -> str:
        """What a person should know although it stops nothing, to be put behind a sentence; empty where all is well."""
        told = "; ".join(f"{finding.id}: {finding.detail}" for finding in self.findings if finding.warning)
        return f" (warning: {told})" if told else ""

    def to_json(self) -> dict[str, Any]:
        state = "ok" if self.ok else "failed" if self.failed else "pending"
        return {"state": state, "findings": [asdict(finding) for finding in self.findings]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Report:
        """Raises KeyError or TypeError where ``value`` is no report."""
        return cls(tuple(Finding(**finding) for finding in value["findings"]))

    @classmethod
    def read(cls, value: Any) -> Report | None:
        """None where ``value`` is no report of this version: then nothing is known."""
        try:
            return cls.from_json(value)
        except (KeyError, TypeError):
            return None

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Report:
        return cls(tuple(findings))
