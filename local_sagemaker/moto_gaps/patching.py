"""How methods of moto's classes are replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_originals: dict[tuple[Any, str], Any] = {}
#: What stood in the class or module itself, not in a base class; a value that is not there has no entry.
_own: dict[tuple[Any, str], Any] = {}


def original_of(owner: Any, name: str) -> Any:
    """What moto itself has under this name in a class (or module), whatever was put there since; None: nothing."""
    if (owner, name) not in _originals:
        _originals[owner, name] = getattr(owner, name, None)
        if name in vars(owner):
            _own[owner, name] = vars(owner)[name]
    return _originals[owner, name]


def put(owner: Any, name: str, value: Any) -> Any:
    """Put ``value`` into moto's class or module under ``name``; returns moto's own value."""
    original = original_of(owner, name)
    setattr(owner, name, value)
    return original


def replace(owner: Any, name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put the decorated function in place of the method of the same name (or ``name``) of moto's class ``owner``.

    A function added to a responder class under a new name is a new action. The replaced method, if there was one, is
    the attribute ``original`` of the function.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function.original = put(owner, name or function.__name__, function)  # type: ignore[attr-defined]
        return function

    return decorate


def restore() -> None:
    """Take everything back: moto's classes and modules are as they were imported."""
    for owner, name in _originals:
        if (owner, name) in _own:
            setattr(owner, name, _own[owner, name])
        elif name in vars(owner):
            delattr(owner, name)
