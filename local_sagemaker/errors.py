"""Errors in the form in which SageMaker answers them."""

from __future__ import annotations


class ApiError(Exception):
    """An API error: ``code`` as botocore's model names it, and AWS's sentence."""

    code = "ValidationException"
    status = 400

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class ValidationException(ApiError):
    """The request is malformed or asks for what cannot be done now."""


class ResourceNotFound(ApiError):
    code = "ResourceNotFound"


class ResourceInUse(ApiError):
    code = "ResourceInUse"


class ConflictException(ApiError):
    code = "ConflictException"


class ResourceLimitExceeded(ApiError):
    code = "ResourceLimitExceeded"


def not_executed(operation: str, field: str, hint: str = "") -> ValidationException:
    """A field that AWS knows and this server neither executes nor can ignore safely."""
    text = f"{operation}: {field} is not supported by the local SageMaker."
    return ValidationException(f"{text} {hint}".strip())
