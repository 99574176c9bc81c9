"""Are the roles that Terraform makes enough, and not too much?

On the local SageMaker with IAM enforced, from an empty account, with the real AWS provider: base, plan, apply, images,
two executions, approvals, a pin, a roll-back and invocations, each actor in its own role (``scenario``). Then

- removal: each statement of each role is taken out and every recorded call is decided again (``removal``); five are
  taken out for real, and what needs them is refused;
- negative: calls that would hurt, each with the role's credentials, and with those of a service's role that a workflow
  has widened as far as it can; and tokens that must not be trusted (``negative``).

Needs terraform and the AWS provider (``TF_PLUGIN_MIRROR`` names a folder with it). About twelve minutes on two cores;
``--quick`` leaves the second execution, the roll-back and the five real removals out.

The last line is one JSON object: ``statements``, ``unneeded`` (statements that no call of the run needs),
``unused_actions``, ``negative_calls``, ``refused``, ``removed`` and ``missed`` (real removals, and those that nothing
noticed), ``seconds``. With ``--table FILE`` the tables are written as Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.least_privilege import negative, removal, scenario, tables
from benchmarks.least_privilege.stack import Actor, Stack, opened


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.least_privilege", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one execution, no roll-back, no real removals")
    parser.add_argument("--table", type=Path, help="write the tables to this Markdown file")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="least-privilege-") as folder, opened(Path(folder)) as stack:
        scenario.run(stack, say, quick=options.quick)
        calls = stack.admin("GET", "iam/recording")["calls"]
        stack.admin("PUT", "iam", {"record": False})
        documents = removal.role_policies(stack)
        statements = removal.examine(documents, calls)
        failures = attempt_all(stack)
        missed = [] if options.quick else scenario.remove_for_real(stack, say)
    result = {
        "statements": len(statements),
        "unneeded": sum(not statement.needed for statement in statements),
        "unused_actions": sum(len(statement.unused) for statement in statements),
        "negative_calls": failures["calls"],
        "refused": failures["calls"] - len(failures["not_refused"]),
        "removed": 0 if options.quick else len(scenario.REAL_REMOVALS),
        "missed": len(missed),
        "recorded_calls": len(calls),
        "seconds": round(time.monotonic() - started),
    }
    print(tables.removal(statements))
    print(tables.negative(failures["rows"]))
    for text in (*failures["not_refused"], *missed):
        say(f"NOT REFUSED: {text}")
    if options.table:
        options.table.write_text(tables.page(statements, failures["rows"]), encoding="utf-8")
    print(json.dumps(result))
    return int(bool(result["unneeded"] or failures["not_refused"] or missed))


def attempt_all(stack: Stack) -> dict[str, Any]:
    """Every negative call and token: how many, those that were not refused, and the rows of the table."""
    rows: list[tables.Row] = []
    bad: list[str] = []

    def attempt_each(attempts: list[negative.Attempt], actors: dict[str, Actor]) -> None:
        for attempt in attempts:
            outcome = negative.refused(stack, attempt, actors)
            rows.append((attempt.role, f"{attempt.service}.{attempt.operation}", attempt.why, not outcome))
            if outcome:
                bad.append(f"{attempt.role}: {attempt.service}.{attempt.operation} ({attempt.why}): {outcome}")

    attempt_each(negative.attempts(stack), negative.actors(stack))
    with negative.widened(stack) as actors:
        attempt_each(negative.widened_attempts(stack), actors)
    for role, subject, audience, why in negative.TOKENS:
        refused = negative.token_refused(stack, role, subject, audience)
        rows.append((f"github-{role}", "sts.assume_role_with_web_identity", why, refused))
        if not refused:
            bad.append(f"github-{role} is taken by {subject} ({audience})")
    return {"calls": len(rows), "not_refused": bad, "rows": rows}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
