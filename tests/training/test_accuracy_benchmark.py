"""The benchmark's parts: nothing of a test set is trained on, and every image is scored once."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import accuracy
from contracts import hashing
from cv_factory.operations.sources import Source, elpv


@pytest.fixture(scope="module")
def sample() -> Source:
    return elpv.scan()


@pytest.fixture(scope="module")
def hashes(sample: Source) -> dict[str, str]:
    return {image.path: hashing.of_bytes(image.path.encode()) for image in sample.images}


def test_no_module_lies_in_two_splits_and_each_image_is_tested_once(sample: Source, hashes: dict[str, str]) -> None:
    tested: Counter[str] = Counter()
    for fold in range(accuracy.FOLDS):
        data = accuracy.imported(sample, f"group:{fold}", hashes)
        splits = {
            split: {image.group for image in data.images if image.split == split}
            for split in ("train", "validation", "test")
        }
        assert not splits["train"] & splits["test"]
        assert not splits["train"] & splits["validation"]
        assert not splits["validation"] & splits["test"]
        assert splits["test"] == set(accuracy.fold_groups(sample, fold))
        tested.update(image.path for image in data.images if image.split == "test")
    assert len(tested) == len(sample.images) == 2624
    assert set(tested.values()) == {1}


def test_random_parts_hold_out_a_quarter_and_differ_by_seed(sample: Source, hashes: dict[str, str]) -> None:
    held_out = []
    for seed in accuracy.RANDOM_SEEDS[:2]:
        data = accuracy.imported(sample, f"random:{seed}", hashes)
        test = frozenset(image.path for image in data.images if image.split == "test")
        assert abs(len(test) - 656) <= 2
        held_out.append(test)
    assert held_out[0] != held_out[1]


def test_an_unknown_part_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["accuracy", "--only", "group:9"])
    assert accuracy.main() == 2
    assert capsys.readouterr().err.startswith("there is no part 'group:9'\nParts: random:0,")
