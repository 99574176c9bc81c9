"""Writes ``docs/unproved.md`` from the checks of :mod:`cv_factory.operations.unproved`."""

from __future__ import annotations

from contracts import settings, source
from cv_factory.operations import prices, unproved
from cv_factory.operations.unproved.check import ByHand, Check

_HEAD = """# What only an AWS account can show

{written}
**Not yet run on AWS.** Everything here was built from AWS's documents and models and runs against the local
SageMaker. Each line is something that nobody could check without an account: the call, and the answer that the code
counts on.

Whoever has an account can try them, in an environment whose base and images are there ([the account](account.md)):

```bash
make test-aws ENV=dev MAX_USD=4
```

It says account, region and endpoint first, then runs the cheapest checks first, as long as the sum of what they may
cost stays below `MAX_USD`; what is left out is named. Nothing of the environment is changed: what a check makes is
named `<name>-<environment>-unproved-<run>-…`, tagged, and taken away as soon as it is not needed, after Ctrl-C too. A
run that was killed leaves a list of what it made, and the next run begins with that. SageMaker keeps the jobs of the
runs on record, without cost.

| variable | what it is |
| --- | --- |
| `ENV` | the environment; `local` is refused |
| `MAX_USD` | what the run may cost at most |
| `ONLY` | these checks, or sections: `ONLY="jobs.layout endpoint"` |
| `PLAN=1` | only say what would run, and what it may cost |
| `OUT` | the result file; else `.cv-factory/<environment>/unproved/results.json` |

The result file has the date, account, region, commit, and of each check the status (`holds`, `fails`, `skipped`),
what was seen, and how long it took; it is written anew after each check. Exit code 0: all that was tried holds; 1:
something fails or was left behind; 2: wrong use; 3: refused, or `MAX_USD` left something out; 130: interrupted. It
needs the rights of whoever ran `infra apply`.

"At most" is instances × minutes × [price](costs.md) with the default instance types in us-east-1, each job and each
wait being ended by then; a check usually takes a few minutes of it. All of them: at most {whole} USD. The checks of
endpoints share one, which the cheapest of them pays for.
"""

_TABLE = "| call | expected answer | check | at most |\n| --- | --- | --- | --- |"


def page(written: str) -> str:
    """``docs/unproved.md``; ``written`` is the line that says who writes it."""
    usual, asked = defaults(), prices.load()
    whole = sum(check.usd(usual, asked) for check in unproved.checks())
    whole += sum(use.usd(usual, asked) for uses in unproved.SHARED.values() for use in uses)
    parts = [_HEAD.format(written=written, whole=f"{whole:.2f}")]
    for title, rows in unproved.SECTIONS.items():
        lines = "\n".join(_row(row, usual, asked) for row in rows)
        parts.append(f"\n## {title}\n\n{_TABLE}\n{lines}\n")
    return "".join(parts)


def defaults() -> settings.Settings:
    """The settings that ship, which have the default instance types."""
    return settings.load(source.root() / settings.DEFAULT_FILE, "dev")


def _row(row: Check | ByHand, usual: settings.Settings, asked: prices.Prices) -> str:
    if isinstance(row, ByHand):
        return f"| {row.call} | {row.expected} | by hand: {row.why} | |"
    usd = row.usd(usual, asked)
    needs = f"; needs {', '.join(row.needs)}" if row.needs else ""
    return f"| {row.call} | {row.expected} | `{row.id}`{needs} | {f'{usd:.2f} USD' if usd else 'nothing'} |"
