"""The split: whole groups, even shares, repeatable, and nothing assigned before ever moves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.dataset import SPLITS, TEST, TRAIN, VALIDATION
from contracts.errors import DataError
from cv_factory.operations.data import split
from cv_factory.operations.data.split import Item
from cv_factory.operations.sources import elpv

SHARES = split.shares(0.25, 0.15)


def _elpv() -> list[Item]:
    return [
        Item(image.path, image.path, image.label, image.group, image.target, image.slices)
        for image in elpv.scan().images
    ]


def _by_split(items: list[Item], answer: dict[split.Unit, str], protocol: str) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {name: [] for name in SPLITS}
    for unit, members in split.units(items, protocol).items():
        found[answer[unit]].extend(members)
    return found


def test_shares_sum_to_one_and_validation_is_cut_from_what_is_not_test() -> None:
    assert pytest.approx({TRAIN: 0.6375, VALIDATION: 0.1125, TEST: 0.25}) == SHARES


@pytest.mark.parametrize("seed", range(5))
def test_sample_by_module_is_balanced(seed: int) -> None:
    items = _elpv()
    found = _by_split(items, split.assign(items, split.GROUP, SHARES, seed), split.GROUP)
    modules = [{item.group for item in found[name]} for name in SPLITS]
    assert not (modules[0] & modules[1] | modules[0] & modules[2] | modules[1] & modules[2])
    for name in SPLITS:
        count = len(found[name])
        assert count / 2624 == pytest.approx(SHARES[name], abs=0.015)
        assert sum(item.label == elpv.POSITIVE for item in found[name]) / count == pytest.approx(821 / 2624, abs=0.03)
        assert sum(item.slices["cell_type"] == "mono" for item in found[name]) / count == pytest.approx(0.41, abs=0.06)


def test_sample_at_random_is_stratified_by_probability_and_type() -> None:
    items = _elpv()
    found = _by_split(items, split.assign(items, split.RANDOM, SHARES, 0), split.RANDOM)
    assert len(found[TEST]) == 656
    assert sum(item.label == elpv.POSITIVE for item in found[TEST]) == 205
    everything = Counter((item.target, item.slices["cell_type"]) for item in items)
    for name in SPLITS:
        have = Counter((item.target, item.slices["cell_type"]) for item in found[name])
        for stratum, total in everything.items():
            assert abs(have[stratum] - SHARES[name] * total) <= 1


def test_same_seed_same_split_in_any_order_and_another_seed_another() -> None:
    items = _elpv()
    first = split.assign(items, split.GROUP, SHARES, 0)
    assert split.assign(items[::-1], split.GROUP, SHARES, 0) == first
    assert split.assign(items, split.GROUP, SHARES, 1) != first


def test_new_groups_only_are_assigned_and_even_out_what_there_is() -> None:
    old = [Item(f"{label}/{n}", f"{label}{n}", label) for label in ("a", "b") for n in range(40)]
    before = split.assign(old, split.GROUP, SHARES, 0)
    new = [Item(f"{label}/new{n}", f"new{label}{n}", label) for label in ("a", "b") for n in range(40)]
    after = split.assign(old + new, split.GROUP, SHARES, 0, before)
    assert {unit: after[unit] for unit in before} == before
    found = _by_split(old + new, after, split.GROUP)
    assert {name: len(found[name]) for name in SPLITS} == {TRAIN: 102, VALIDATION: 18, TEST: 40}


def test_one_image_at_a_time_does_not_always_land_in_train() -> None:
    items = [Item(f"{label}/{n}", f"{label}{n}", label) for label in ("a", "b") for n in range(4)]
    answer = split.assign(items, split.RANDOM, SHARES, 0)
    for n in range(40):
        items.append(Item(f"a/later{n}", f"later{n}", "a"))
        answer = split.assign(items, split.RANDOM, SHARES, 0, answer)
    later = Counter(answer[unit] for unit in answer if "later" in unit.path)
    assert later[TEST] >= 8 and later[VALIDATION] >= 3


def test_class_in_two_groups_only_is_refused() -> None:
    items = [Item(f"a/{n}", f"a{n}", "a", f"g{n}") for n in range(9)]
    items += [Item(f"b/{n}", f"b{n}", "b", f"g{n % 2}") for n in range(9)]
    with pytest.raises(DataError, match=r"class 'b' has no image for .*2 separate groups") as error:
        split.assign(items, split.GROUP, SHARES, 0)
    assert "at least three groups" in error.value.hint


def test_rare_class_is_in_every_split() -> None:
    items = [Item(f"a/{n}", f"a{n}", "a") for n in range(200)] + [Item(f"b/{n}", f"b{n}", "b") for n in range(3)]
    found = _by_split(items, split.assign(items, split.RANDOM, SHARES, 0), split.RANDOM)
    assert all(any(item.label == "b" for item in found[name]) for name in SPLITS)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.sampled_from(["x", "y"])), max_size=60),
    st.integers(0, 5),
)
def test_groups_stay_whole_and_every_unit_has_one_split(drawn: list[tuple[str, int, str]], seed: int) -> None:
    items = [Item(f"{c}/{n}", f"{n}", c, f"g{g}", None, {"s": s}) for n, (c, g, s) in enumerate(drawn)]
    items += [Item(f"{c}/single{n}", f"s{c}{n}", c) for c in "abc" for n in range(3)]
    answer = split.assign(items, split.GROUP, SHARES, seed)
    assert set(answer) == set(split.units(items, split.GROUP))
    assert set(answer.values()) == set(SPLITS)
