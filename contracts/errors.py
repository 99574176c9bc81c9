"""Errors a person reads: a headline with the value, and a body that says what is right and what to run next."""

from __future__ import annotations


class FactoryError(Exception):
    """Base of every error that is shown without a traceback.

    Args:
        headline: what was wrong, with the value.
        hint: what would be right and the next command to try; may have several lines.
    """

    exit_code = 1

    def __init__(self, headline: str, hint: str = "") -> None:
        super().__init__(headline)
        self.headline = headline
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.headline}\n{self.hint}" if self.hint else self.headline


class UsageError(FactoryError):
    """The command or its arguments are wrong (exit code 2)."""

    exit_code = 2


class SettingsError(UsageError):
    """``factory.yaml`` cannot be used as it is (exit code 2)."""


class RefusedError(FactoryError):
    """A gate or a guard said no; nothing was changed (exit code 3)."""

    exit_code = 3


class DataError(FactoryError):
    """The images, labels or attributes cannot be used as they are."""


class ContractError(FactoryError):
    """A file that one room wrote for another is not what the contract says."""
