from __future__ import annotations

import pytest

from local_sagemaker.alarms.rules import BadRule, Rule

STATES = {"a": "ALARM", "b": "OK", "with blank": "ALARM", "c": "INSUFFICIENT_DATA"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("ALARM(a)", True),
        ('ALARM("with blank") AND OK(b)', True),
        ("ALARM(b) OR INSUFFICIENT_DATA('c')", True),
        ("NOT ALARM(a) OR ALARM(b)", False),
        ("ALARM(b) AND ALARM(a) OR ALARM(a)", True),  # AND binds closer
        ("ALARM(b) AND (ALARM(a) OR ALARM(a))", False),
        ("ALARM(arn:aws:cloudwatch:eu-west-1:111122223333:alarm:a)", True),
        ("NOT NOT TRUE AND NOT FALSE", True),
        ("ALARM(deleted) OR OK(deleted)", False),
    ],
)
def test_rules(text: str, holds: bool) -> None:
    assert Rule(text).holds(STATES.get) is holds


def test_the_names_of_a_rule() -> None:
    assert Rule("ALARM(a) AND (OK('with blank') OR NOT ALARM(a))").names() == ["a", "with blank"]


@pytest.mark.parametrize("text", ["", "ALARM", "ALARM(a", "ALARM(a) OK(b)", "alarm(a)", "ALARM(a) AND", "AND", "(" * 3])
def test_rules_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadRule):
        Rule(text)


def test_a_rule_has_a_longest() -> None:
    with pytest.raises(BadRule, match="at most 10240"):
        Rule(" OR ".join(["ALARM(a)"] * 1000))
