"""The verdict and the comparison it rests on."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.dataset import PreparedDataset, PreparedImage, Shard
from contracts.evaluation import BALANCED_ACCURACY, MAX_GATE_MESSAGE, NOTHING_NEW, REFUSE, REGISTER
from training.scoring import comparison as comparisons
from training.scoring.comparison import Comparison, Difference
from training.scoring.gate import Rules, Verdict, decide
from training.scoring.metrics import Scores

RULES = Rules(
    min={"balanced_accuracy": 0.70},
    min_per_slice={"balanced_accuracy": 0.60},
    max={"ece": 0.10, "latency_ms": 100, "bundle_mb": 50},
    champion_margin=0.03,
)
GOOD: dict[str, float | None] = {"balanced_accuracy": 0.811, "ece": 0.04, "latency_ms": 14.2, "bundle_mb": 25.3}
SLICES: dict[str, dict[str, float | None]] = {
    "type=mono": {"balanced_accuracy": 0.80},
    "type=poly": {"balanced_accuracy": 0.65},
}


def against(value: float | None, lower: float | None, *, images: int = 656, restricted: bool = False) -> Comparison:
    return Comparison("c" * 64, images, restricted, {}, {}, {BALANCED_ACCURACY: Difference(value, lower)})


def verdict(
    values: dict[str, float | None] | None = None,
    slices: dict[str, dict[str, float | None]] | None = None,
    champion: Comparison | None = None,
    *,
    rules: Rules = RULES,
    is_champion: bool = False,
) -> Verdict:
    return decide(
        rules,
        GOOD if values is None else values,
        SLICES if slices is None else slices,
        champion,
        protocol="group",
        images=656,
        is_champion=is_champion,
    )


def test_all_rules_hold() -> None:
    result = verdict()
    assert result.outcome == REGISTER
    assert result.message == (
        "All 6 rules hold: balanced accuracy 0.811 on 656 test images, protocol group; no champion to compare with."
    )
    assert [reason.rule for reason in result.reasons] == [
        "min.balanced_accuracy",
        "max.ece",
        "max.latency_ms",
        "max.bundle_mb",
        "min_per_slice.balanced_accuracy type=mono",
        "min_per_slice.balanced_accuracy type=poly",
    ]
    assert all(reason.passed for reason in result.reasons)


def test_a_missed_floor_names_value_floor_and_protocol() -> None:
    result = verdict({**GOOD, "balanced_accuracy": 0.6548})
    assert result.outcome == REFUSE
    assert result.message == (
        "Not registered: balanced accuracy is 0.655, but must be at least 0.700 "
        "(656 test images, protocol group). 5 other rules hold."
    )
    assert [reason.rule for reason in result.reasons if not reason.passed] == ["min.balanced_accuracy"]


def test_a_ceiling_and_a_slice_are_named() -> None:
    slices = {**SLICES, "type=poly": {"balanced_accuracy": 0.5}}
    message = verdict({**GOOD, "latency_ms": 250.0}, slices).message
    assert "latency in ms is 250.0, but must be at most 100.0" in message
    assert "balanced accuracy is 0.500, but must be at least 0.600 in the slice type poly" in message


def test_limits_are_inclusive() -> None:
    assert verdict({**GOOD, "balanced_accuracy": 0.70, "ece": 0.10}).outcome == REGISTER


def test_a_value_just_below_its_limit_is_told_apart_from_it() -> None:
    message = verdict({**GOOD, "balanced_accuracy": 0.69996}).message
    assert "balanced accuracy is 0.69996, but must be at least 0.700" in message


def test_what_cannot_be_computed_never_passes() -> None:
    result = verdict({**GOOD, "ece": None})
    assert result.outcome == REFUSE
    assert "calibration error could not be computed and must be at most 0.100" in result.message
    assert verdict({}).outcome == REFUSE


def test_no_rules_register_everything() -> None:
    result = verdict({"balanced_accuracy": 0.1}, {}, rules=Rules())
    assert (result.outcome, result.reasons) == (REGISTER, ())
    assert result.message.startswith("No rule is set: balanced accuracy 0.100 on 656 test images")
    assert verdict(rules=Rules(min={"balanced_accuracy": 0.7})).message.startswith("The one rule holds: ")


@pytest.mark.parametrize(
    ("value", "lower", "outcome", "says"),
    [
        (
            0.02,
            0.004,
            REGISTER,
            "0.020 above the champion on 656 images, and with 95 percent confidence at least 0.004",
        ),
        (0.0, 0.0, REGISTER, "not below it, within the margin of 0.030"),
        (
            -0.01,
            -0.029,
            REGISTER,
            "0.010 below the champion on 656 images, and with 95 percent confidence at most 0.029",
        ),
        (-0.01, -0.03, REFUSE, "but at most 0.030 below is allowed"),
        (0.01, -0.05, REFUSE, "0.010 above the champion on 656 images, and with 95 percent confidence at most 0.050"),
        (None, None, REFUSE, "the champion could not be compared"),
    ],
)
def test_the_champion_rule_looks_at_the_lower_bound(
    value: float | None, lower: float | None, outcome: str, says: str
) -> None:
    result = verdict(champion=against(value, lower))
    assert result.outcome == outcome
    assert says in result.message
    assert result.reasons[-1].rule == "champion.balanced_accuracy"
    assert (result.reasons[-1].limit, result.reasons[-1].value) == (-0.03, lower)


def test_too_few_common_images_refuse_and_say_what_to_do() -> None:
    result = verdict(champion=against(0.1, 0.05, images=29, restricted=True))
    assert result.outcome == REFUSE
    assert "only 29 images are unknown to both this model and the champion" in result.message
    assert "keep the split" in result.message
    assert verdict(champion=against(0.1, 0.05, images=30, restricted=True)).outcome == REGISTER
    assert verdict(champion=against(0.1, 0.05, images=12)).outcome == REGISTER  # the same, small dataset


def test_the_champion_itself_is_nothing_new_even_if_a_rule_fails() -> None:
    result = verdict({**GOOD, "balanced_accuracy": 0.1}, is_champion=True)
    assert result.outcome == NOTHING_NEW
    assert "nothing new" in result.message
    assert not result.reasons[0].passed


@settings(max_examples=100, deadline=None)
@given(
    name=st.text(min_size=1, max_size=400),
    value=st.none() | st.floats(0, 1),
    champion=st.none() | st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_messages_hold_no_symbols_and_are_short(
    name: str, value: float | None, champion: tuple[float, float] | None
) -> None:
    slices = {f"column={name}{index}": {"balanced_accuracy": value} for index in range(5)}
    result = verdict(slices=slices, champion=None if champion is None else against(*champion))
    assert 0 < len(result.message) <= MAX_GATE_MESSAGE
    assert all(unicodedata.category(character)[0] in "LMNPZ" for character in result.message)
    assert not set("=<>+|^~`$\n") & set(result.message)


# --- the comparison ---------------------------------------------------------------------------------------------------


def scores(right: np.ndarray, truth: np.ndarray) -> Scores:
    predicted = np.where(right, truth, 1 - truth)
    probabilities = np.where(np.eye(2)[predicted] > 0, 0.8, 0.2)
    return Scores(("a", "b"), 1, truth, predicted, probabilities, np.full(len(truth), 0.8))


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    """The challenger corrects 8 of the champion's mistakes and makes none of its own."""
    rng = np.random.default_rng(0)
    truth = np.arange(200) % 2
    champion_right = rng.random(200) < 0.8
    challenger_right = champion_right.copy()
    challenger_right[np.flatnonzero(~champion_right)[:8]] = True
    result = comparisons.compare(
        scores(challenger_right, truth), scores(champion_right, truth), np.arange(200), np.ones(200, bool), "h"
    )
    difference = result.differences[BALANCED_ACCURACY]
    assert difference.value == pytest.approx(0.04, abs=0.005)
    assert difference.lower_95 is not None and 0.01 < difference.lower_95 < 0.03
    ours, theirs = result.challenger[BALANCED_ACCURACY], result.metrics[BALANCED_ACCURACY]
    assert ours.low is not None and theirs.high is not None and ours.low < theirs.high  # unpaired, they overlap
    assert (result.images, result.restricted, result.possible) == (200, False, True)


def test_the_difference_is_of_the_compared_images_only() -> None:
    truth = np.arange(100) % 2
    challenger_right, champion_right = np.ones(100, bool), np.ones(100, bool)
    champion_right[50:] = False
    rows = np.arange(100) < 50
    result = comparisons.compare(
        scores(challenger_right, truth), scores(champion_right, truth), np.arange(100), rows, "h"
    )
    assert result.differences[BALANCED_ACCURACY] == Difference(0.0, 0.0)
    assert (result.images, result.restricted) == (50, True)


def test_whole_groups_that_differ_make_the_bound_wider() -> None:
    truth = np.arange(400) % 2
    cluster = np.arange(400) // 20
    champion_right = np.ones(400, bool)
    challenger_right = (cluster % 10) != 0  # two groups of twenty are lost whole
    both = [
        comparisons.compare(
            scores(challenger_right, truth), scores(champion_right, truth), groups, np.ones(400, bool), "h"
        )
        for groups in (cluster, np.arange(400))
    ]
    bounds = [result.differences[BALANCED_ACCURACY].lower_95 for result in both]
    assert bounds[0] is not None and bounds[1] is not None
    assert bounds[0] < bounds[1] - 0.05


def test_without_common_images_nothing_is_defined() -> None:
    truth = np.arange(10) % 2
    every = scores(np.ones(10, bool), truth)
    result = comparisons.compare(every, every, np.arange(10), np.zeros(10, bool), "h")
    assert result.differences[BALANCED_ACCURACY] == Difference(None, None)
    assert not result.possible


def image(sha256: str, group: str = "", shard: str = "test") -> PreparedImage:
    return PreparedImage(f"a/{sha256}.png", sha256, "a", group, None, {}, shard, 0)


def champion_dataset(**changes: object) -> PreparedDataset:
    dataset = PreparedDataset(
        dataset_hash="d",
        source="elpv",
        protocol="group",
        seed=0,
        classes=("a", "b"),
        positive_class="b",
        input_size=8,
        color_mode="L",
        slice_columns=(),
        shards=(Shard("train", "train", 2, ""), Shard("validation", "validation", 1, ""), Shard("test", "test", 1, "")),
        images=(
            image("1", "m1", "train"),
            image("2", "", "train"),
            image("3", "m2", "validation"),
            image("4", "m3", "test"),
        ),
        dropped=(),
    )
    return replace(dataset, **changes)  # type: ignore[arg-type]


TEST_IMAGES = [image("1"), image("3"), image("4"), image("5", "m1"), image("6", "m2"), image("7", "m3"), image("8")]


def test_images_that_the_champion_learned_from_are_left_out() -> None:
    assert comparisons.untrained(TEST_IMAGES, "elpv", champion_dataset()).tolist() == [
        False, False, True, False, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(("source", "changes"), [("other", {}), ("elpv", {"protocol": "random"})])
def test_groups_count_only_with_the_same_source_and_protocol(source: str, changes: dict[str, object]) -> None:
    assert comparisons.untrained(TEST_IMAGES, source, champion_dataset(**changes)).tolist() == [
        False, False, True, True, True, True, True,
    ]  # fmt: skip
