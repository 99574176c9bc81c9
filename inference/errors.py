"""What a request can be told: a code of :data:`contracts.invocation.ERRORS` and a sentence."""

from __future__ import annotations

from contracts.errors import FactoryError
from contracts.invocation import ERRORS


class RequestError(FactoryError):
    """A request that gets an error for an answer.

    Args:
        code: a key of :data:`contracts.invocation.ERRORS`; it decides the HTTP status.
        message: one or two sentences for the sender: the value, and the limit or what would be right. Never a secret,
            never a part of the body.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = ERRORS[code]

    @property
    def message(self) -> str:
        return self.headline
