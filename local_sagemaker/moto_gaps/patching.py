"""How methods of moto's classes are replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def replace(owner: Any, name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put the decorated function in place of the method of the same name (or ``name``) of moto's class ``owner``.

    A function added to a responder class under a new name is a new action. The replaced method, if there was one, is the
    attribute ``original`` of the function.
    """

    def put(function: Callable[..., Any]) -> Callable[..., Any]:
        target = name or function.__name__
        function.original = getattr(owner, target, None)  # type: ignore[attr-defined]
        setattr(owner, target, function)
        return function

    return put
