"""The step Evaluate from its inputs to its outputs: verdicts, the champion, slices, groups, and bad inputs."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow.parquet as pq
import pytest

from contracts import evaluation as contract
from contracts.dataset import PreparedDataset
from contracts.evaluation import BALANCED_ACCURACY, METRICS, MIN_SLICE_IMAGES
from tests.training.evaluation.steps import GATE, Item, Step, both_splits, items, p_light, vars_of, write_dataset
from training.scoring import evaluation as evaluations


def test_a_first_good_model_is_registered(ready: Step) -> None:
    assert ready.run() == 0
    found = ready.found
    assert set(found) == {
        "format_version", "protocol", "dataset_hash", "source_hash", "bundle_hash", "classes", "positive_class",
        "counts", "metrics", "slices", "confusion", "champion", "serving", "gate",
    }  # fmt: skip
    assert found["gate"]["outcome"] == "register"
    assert found["gate"]["reasons"] == [{"rule": "min.balanced_accuracy", "limit": 0.7, "value": 1.0, "passed": True}]
    assert (found["protocol"], found["classes"], found["positive_class"]) == ("random", ["dark", "light"], "light")
    assert found["counts"] == {"test": 60, "by_class": {"dark": 30, "light": 30}}
    assert found["confusion"] == [[30, 0], [0, 30]]
    assert found["champion"] is None and found["serving"]["precision"] == "float32"
    assert set(found["metrics"]) == set(METRICS)
    for name in (BALANCED_ACCURACY, "accuracy", "f1", "auc", "precision", "recall"):
        assert found["metrics"][name] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert ready.message == found["gate"]["message"]


def test_every_number_is_the_closed_form(step: Step) -> None:
    """60 images of which 6 carry the other label: 54 answers are right."""
    chosen = both_splits(wrong=6)
    step.prepare(chosen)
    step.train()
    step.no_champion()
    assert step.run() == 0
    found = step.found
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(0.9)
    assert found["metrics"][BALANCED_ACCURACY]["value"] == pytest.approx(0.9)
    assert found["confusion"] == [[27, 3], [3, 27]]
    interval = found["metrics"]["accuracy"]
    half = 1.96 * math.sqrt(0.9 * 0.1 / 60)
    assert interval["low"] == pytest.approx(0.9 - half, abs=0.02)
    assert interval["high"] == pytest.approx(0.9 + half, abs=0.02)
    size = (step.model / "model.tar.gz").stat().st_size / 1e6
    assert found["metrics"]["bundle_mb"] == dict.fromkeys(("value", "low", "high"), pytest.approx(size, abs=1e-6))
    latency = found["metrics"]["latency_ms"]
    assert 0 < latency["low"] <= latency["value"] <= latency["high"]
    table = pq.read_table(step.output / "predictions.parquet").to_pylist()
    values = {f"{item.label}/{item.number:05}.png": item.value for item in chosen}
    assert [row["path"] for row in table] == sorted(path for path in values if int(path[-9:-4]) < 9000)
    for row in table:
        assert row["probability.light"] == pytest.approx(p_light(values[row["path"]]), abs=1e-5)
        assert row["predicted"] == ("light" if values[row["path"]] > 127.5 else "dark")
        assert row["label"] == row["path"].partition("/")[0]


def test_a_refused_model_is_a_step_that_ends_well(step: Step) -> None:
    """The pipeline's condition reads the outcome; the job itself has not failed."""
    step.prepare(both_splits(wrong=30))
    step.train()
    step.no_champion()
    assert step.run() == 0
    assert step.found["gate"]["outcome"] == "refuse"
    assert step.found["gate"]["message"].startswith("Not registered: balanced accuracy is 0.500, but must be at least")
    assert (step.output / "report.html").is_file() and (step.output / "model_card.json").is_file()


def test_thresholds_of_the_bundle_are_used(step: Step) -> None:
    step.prepare([*both_splits(), Item(131, "dark", number=500)])
    step.train(thresholds={"light": 0.9})  # P(light) is 0.75 at 131
    step.no_champion()
    assert step.run() == 0
    assert step.found["metrics"]["accuracy"]["value"] == 1.0


# --- the champion -----------------------------------------------------------------------------------------------------


def test_the_champions_own_bundle_is_nothing_new(step: Step) -> None:
    step.prepare(both_splits(wrong=30))  # it would miss the floor
    assert step.train() == step.crown()
    assert step.run() == 0
    assert step.found["gate"]["outcome"] == "nothing-new"
    assert step.found["champion"] is None
    assert "champion itself" in step.text("report.html")


def test_a_better_model_is_compared_image_by_image(step: Step) -> None:
    step.prepare(both_splits(count=100))
    step.train()
    champion = step.crown(turn=160.0)  # the light images below 160 are lost
    assert step.run() == 0
    found = step.found
    assert found["gate"]["outcome"] == "register"
    assert found["champion"]["bundle_hash"] == champion
    assert found["champion"]["images"] == 100
    difference = found["champion"]["difference"][BALANCED_ACCURACY]
    champions = found["champion"]["metrics"][BALANCED_ACCURACY]["value"]
    assert difference["value"] == pytest.approx(1.0 - champions)
    assert 0 < difference["lower_95"] < difference["value"]
    table = pq.read_table(step.output / "predictions.parquet").to_pylist()
    assert all(row["champion.compared"] for row in table)
    lost = [row for row in table if row["champion.predicted"] != row["label"]]
    assert len(lost) == round((1 - champions) * 2 * 50)
    assert "above the champion" in found["gate"]["message"]


def test_a_worse_model_is_refused_by_the_lower_bound(step: Step) -> None:
    step.prepare(both_splits(count=100))
    step.train(turn=160.0)
    step.crown()
    assert step.run("--champion-margin", "0.03") == 0
    found = step.found
    assert found["gate"]["outcome"] == "refuse"
    assert "below the champion on 100 images" in found["gate"]["message"]
    (reason,) = found["gate"]["reasons"]
    assert reason["rule"] == "champion.balanced_accuracy" and reason["value"] < -0.03 == reason["limit"]


def test_an_equally_good_model_passes(step: Step) -> None:
    step.prepare(both_splits(count=100, wrong=20))
    step.train(temperature=1.5)
    step.crown()
    assert step.run("--champion-margin", "0.0001") == 0
    assert step.found["gate"]["outcome"] == "register"
    assert step.found["champion"]["difference"][BALANCED_ACCURACY] == {"value": 0.0, "lower_95": 0.0}


def older(step: Step, learned: list[Item], **changes: Any) -> PreparedDataset:
    """Another dataset, that the champion was trained on."""
    return write_dataset(step.base.parent / "older", [*learned, *items(4, first=8000)], **changes)


def as_train(chosen: list[Item], **changes: Any) -> list[Item]:
    return [Item(**{**vars_of(item), "split": "train", **changes}) for item in chosen]


def test_with_another_dataset_both_are_scored_on_what_neither_was_trained_on(step: Step) -> None:
    test = items(80, wrong=10)
    step.prepare([*both_splits(count=0), *test])
    step.train()
    step.crown(older(step, as_train(test[:40])), turn=130.0)
    assert step.run() == 0
    found = step.found
    assert found["champion"]["images"] == 40
    assert found["counts"]["test"] == 80  # its own metrics are of the whole test split
    table = pq.read_table(step.output / "predictions.parquet").to_pylist()
    assert sum(row["champion.compared"] for row in table) == 40
    learned = {f"{item.number:05}" for item in test[:40]}
    assert all(row["champion.compared"] == (row["path"][-9:-4] not in learned) for row in table)


def test_too_few_common_images_are_a_refusal_that_says_what_to_do(step: Step) -> None:
    test = items(60)
    step.prepare([*both_splits(count=0), *test])
    step.train()
    step.crown(older(step, as_train(test[:40])))
    assert step.run() == 0
    assert step.found["gate"]["outcome"] == "refuse"
    assert "only 20 images are unknown to both" in step.found["gate"]["message"]


def test_images_of_a_group_that_the_champion_knows_are_left_out(step: Step) -> None:
    test = [item for group in "abcd" for item in items(20, first=100 * ord(group), group=group)]
    step.prepare([*both_splits(count=0), *test], protocol="group")
    step.train()
    learned = items(4, split="train", first=7000, group="b")
    step.crown(older(step, learned, protocol="group"))
    assert step.run() == 0
    assert step.found["champion"]["images"] == 60


def test_a_champion_that_knows_fewer_classes_is_wrong_on_the_new_one(step: Step) -> None:
    """The test split has a third class; the champion answers by name."""
    grey = [Item(128, "grey", number=600 + index) for index in range(30)]
    step.prepare([*both_splits(), *grey], classes=("dark", "grey", "light"), positive_class=None)
    # logits: dark -20 m, grey 2 (flat: wins near m = 0), light 20 m
    step.train(weights=(-20.0, 0.0, 20.0), bias=(0.0, 2.0, 0.0))
    two = older(step, items(4, split="train", first=7000))
    step.crown(two)
    assert step.run() == 0
    found = step.found
    assert found["confusion"] == [[30, 0, 0], [0, 30, 0], [0, 0, 30]]
    assert found["champion"]["metrics"][BALANCED_ACCURACY]["value"] == pytest.approx(2 / 3)
    assert found["champion"]["difference"][BALANCED_ACCURACY]["value"] == pytest.approx(1 / 3)


# --- slices and groups ------------------------------------------------------------------------------------------------


def sliced(name: str, count: int, *, wrong: int = 0, first: int = 0) -> list[Item]:
    return items(count, wrong=wrong, first=first, slices={"camera": name})


def test_only_slices_with_enough_images_of_each_class_are_gated(step: Step) -> None:
    big, small = 2 * MIN_SLICE_IMAGES, 2 * MIN_SLICE_IMAGES - 2
    step.prepare([*both_splits(count=0), *sliced("old", small, wrong=small), *sliced("new", big, first=200)])
    step.train()
    step.no_champion()
    assert step.run("--gate-min-per-slice", "balanced_accuracy=0.6", "--champion-margin", "0") == 0
    found = step.found
    assert found["gate"]["outcome"] == "register"
    old, new = found["slices"]["camera=old"], found["slices"]["camera=new"]
    assert (old["gated"], new["gated"]) == (False, True)
    assert old["counts"] == {"dark": 29, "light": 29}
    assert old["metrics"][BALANCED_ACCURACY]["value"] == 0.0
    assert new["metrics"][BALANCED_ACCURACY] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert "latency_ms" not in new["metrics"]
    assert "too small to gate" in step.text("report.html")


def test_a_weak_slice_refuses_a_model_that_is_good_on_the_whole(step: Step) -> None:
    step.prepare([*both_splits(count=0), *sliced("old", 60, wrong=40), *sliced("new", 240, first=200)])
    step.train()
    step.no_champion()
    assert step.run(*GATE, "--gate-min-per-slice", "balanced_accuracy=0.6") == 0
    assert step.found["gate"]["outcome"] == "refuse"
    assert "in the slice camera old" in step.found["gate"]["message"]


def test_an_attribute_with_a_value_for_each_image_does_not_fill_the_file(step: Step) -> None:
    many = [Item(value=200 if n % 2 else 50, label="light" if n % 2 else "dark", slices={"serial": f"s{n}"}, number=n)
            for n in range(200)]  # fmt: skip
    step.prepare([*both_splits(count=0), *many])
    step.train()
    step.no_champion()
    assert step.run() == 0
    assert len(step.found["slices"]) == evaluations.MAX_SLICES
    assert "150 small slices are left out" in step.text("report.html")


def test_intervals_are_wider_when_whole_groups_stand_or_fall_together(step: Step) -> None:
    widths = {}
    chosen = [item for group in range(10) for item in items(20, first=100 * group, group=f"g{group}",
              wrong=20 if group in (3, 7) else 0)]  # fmt: skip
    for protocol in ("random", "group"):
        step.prepare([*both_splits(count=0), *chosen], protocol=protocol)
        step.train()
        step.no_champion()
        assert step.run() == 0
        interval = step.found["metrics"]["accuracy"]
        assert interval["value"] == pytest.approx(0.8)
        widths[protocol] = interval["high"] - interval["low"]
    assert widths["group"] > 2.5 * widths["random"]
    assert "10 whole groups" in step.text("report.html")


# --- the outputs' form ------------------------------------------------------------------------------------------------


def test_the_files_hold_no_nan_and_are_small(step: Step) -> None:
    step.prepare([*items(4, split="train", first=9000), *[Item(200, "light", number=n) for n in range(40)]])
    step.train()
    step.no_champion()
    assert step.run() == 0

    def refuse(name: str) -> None:
        raise AssertionError(name)

    for name in ("evaluation.json", "model_card.json"):
        json.loads(step.text(name), parse_constant=refuse)
    assert step.found["metrics"]["auc"] == {"value": None, "low": None, "high": None}
    assert (step.output / "evaluation.json").stat().st_size < contract.MAX_EVALUATION_BYTES


def test_evaluation_json_stays_below_a_megabyte(ready: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    ready.prepare([*both_splits(count=0), *sliced("old", 60), *sliced("odd", 6, first=300)])
    ready.train()
    for has_confusion, slices in ((True, 2), (False, 2), (False, 1), (False, 0)):
        assert ready.run() == 0
        size = (ready.output / "evaluation.json").stat().st_size
        assert size <= contract.MAX_EVALUATION_BYTES
        assert (bool(ready.found["confusion"]), len(ready.found["slices"])) == (has_confusion, slices)
        monkeypatch.setattr(contract, "MAX_EVALUATION_BYTES", size - 40)  # the latency's digits differ from run to run


def test_the_same_inputs_give_the_same_numbers(ready: Step) -> None:
    results = []
    for _ in range(2):
        assert ready.run() == 0
        found = ready.found
        del found["metrics"]["latency_ms"], found["serving"]["graphs"]["float32"]["latency_ms"]
        results.append(found)
    assert results[0] == results[1]
