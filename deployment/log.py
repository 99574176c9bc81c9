"""Log lines: one JSON object each. Names and states only; no payload, environment or credential is ever logged."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

logger = logging.getLogger("deployment")


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log that ``name`` happened; the fields become keys of the line."""
    logger.log(level, name, extra={"fields": fields})


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "level": record.levelname,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
            **getattr(self, "context", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        return json.dumps(line, default=str)


def to_stdout(**context: Any) -> None:
    """Write the lines to standard output, each with ``context`` (a request id); called by the Lambda's handler only."""
    formatter = _JsonLines()
    formatter.context = context  # type: ignore[attr-defined]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
