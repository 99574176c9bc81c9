"""What may befall a step of the state machine: one of its calls fails, or its process ends."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from botocore.exceptions import ClientError
from hypothesis import strategies as st

from contracts.errors import RefusedError, UsageError
from tests.deployment.plane import LOST, Calls, Killed


@dataclass(frozen=True)
class Fault:
    """What befalls the ``call``-th call of a step."""

    name: str
    call: int


BEFORE, THROTTLED, AFTER, KILLED = "error before", "throttled", "error after its effect", "killed after it"
FAULT_NAMES = (BEFORE, THROTTLED, AFTER, KILLED)
EXAMPLES, HOURS_WITHIN = "examples", "hours within a step"
#: What is counted beside steps.
NO_STEPS = (*FAULT_NAMES, EXAMPLES, HOURS_WITHIN)
#: More than any run makes calls.
_CALLS = 60
FAULTS = st.none() | st.builds(Fault, st.sampled_from(FAULT_NAMES), st.integers(min_value=1, max_value=_CALLS))


@contextlib.contextmanager
def befalls(calls: Calls, fault: Fault | None, counted: Counter[str]) -> Iterator[None]:
    """The block is struck; what a person is told is an error or a refusal, and no more. Each strike is counted."""
    calls.made.clear()
    if fault is not None:
        if fault.name == KILLED:
            calls.kill_after = fault.call
        elif fault.name == AFTER:
            calls.lose = fault.call
        else:
            calls.refuse = (fault.call, "ThrottlingException" if fault.name == THROTTLED else LOST)
    try:
        yield
    except Killed:
        assert fault is not None and fault.name == KILLED
    except ClientError:
        assert fault is not None and fault.name != KILLED
    except (RefusedError, UsageError):
        pass  # no such version to go back to, or it is not approved: the person reads why
    finally:
        if fault is not None and len(calls.made) >= fault.call:
            counted[fault.name] += 1
        calls.kill_after, calls.lose, calls.refuse = 0, 0, (0, "")
