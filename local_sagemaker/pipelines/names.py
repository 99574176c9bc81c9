"""Names and ARNs of pipelines, executions and what their steps create."""

from __future__ import annotations

import re
import secrets
import string

_ALPHABET = string.ascii_lowercase + string.digits
_LONGEST = 63


def random_part(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def execution_id() -> str:
    """12 characters, as AWS gives them."""
    return random_part(12)


def job_name(execution: str, step: str, prefix: str | None = None) -> str:
    """``pipelines-<execution id>-<step>-<10 characters>``, cut to the 63 that a job name may have.

    With a ``prefix`` of the definition's own (the SDK's ``use_custom_job_prefix``): ``<prefix>-<execution id>-…``.
    """
    suffix = random_part(10)
    room = _LONGEST - len(execution) - len(suffix) - 2
    if prefix is not None and _plain(prefix, room):
        return f"{_plain(prefix, room)}-{execution}-{suffix}"
    return f"pipelines-{execution}-{_plain(step, room - len('pipelines-'))}-{suffix}"


def _plain(text: str, room: int) -> str:
    """Only what a job's name may hold: letters, digits and single dashes between them."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text)[:room].strip("-")


def pipeline_of(name_or_arn: str) -> str:
    """A pipeline's name in lower case, from its name or its ARN."""
    return name_or_arn.rsplit(":pipeline/", 1)[-1].lower()
