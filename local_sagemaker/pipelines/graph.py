"""The order of steps: who may run now, and whether an order exists at all. Pure functions.

A step on the side of a Condition that was not taken never runs, nor does one that needs such a step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol


class Node(Protocol):
    """What the order needs to know of a step."""

    @property
    def needs(self) -> Collection[str]: ...
    @property
    def parent(self) -> str | None: ...
    @property
    def side(self) -> bool | None: ...


def find_cycle(needs: Mapping[str, Collection[str]]) -> list[str] | None:
    """Steps that need each other in a circle, the first one repeated at the end; None when there is no circle.

    Read ``a -> b`` as "b runs after a".
    """
    done: set[str] = set()
    for start in sorted(needs):
        if start in done:
            continue
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, Iterator[str]]] = []

        def enter(name: str) -> None:
            trail.append(name)  # noqa: B023  (used within this turn of the loop only)
            on_trail.add(name)  # noqa: B023
            stack.append((name, iter(sorted(needs.get(name, ())))))  # noqa: B023

        enter(start)
        while stack:
            name, rest = stack[-1]
            for need in rest:
                if need in on_trail:
                    circle = trail[trail.index(need) :]
                    return [need, *reversed(circle)]
                if need in needs and need not in done:
                    enter(need)
                    break
            else:
                stack.pop()
                trail.pop()
                on_trail.discard(name)
                done.add(name)
    return None


def ready(
    steps: Mapping[str, Node], started: Collection[str], succeeded: Collection[str], outcomes: Mapping[str, bool]
) -> list[str]:
    """Steps that can start now, in order of writing: not started, all that they need succeeded, on the taken side."""
    return [
        name
        for name, step in steps.items()
        if name not in started
        and all(need in succeeded for need in step.needs)
        and (step.parent is None or outcomes.get(step.parent) == step.side)
    ]
