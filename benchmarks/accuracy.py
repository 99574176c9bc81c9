"""How good a recipe is on the sample images, under both protocols, trained by the product's own steps.

``random``: 75 % of the images to train, 25 % to test, split seeds 0 to 2; the mean of the three. What published figures
use; images of one module lie on both sides.
``group``: no module on both sides. StratifiedGroupKFold(4, shuffle=True, random_state=0) over all 44 modules; each
image is scored by the model that never saw its module, and the metrics are those of all 2,624 images together.

The validation images are cut from the training part as ``data import`` does it. Each part runs ``training.preprocess``
and ``training.train`` as SageMaker would, and asks the bundle through ``inference.predictor``. Intervals are 95 %
bootstrap intervals: of images for ``random``, of whole modules for ``group``. No threshold, recipe or view is chosen on
the images that are scored.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import steps
from contracts import hashing, jsonio, source
from contracts.dataset import TEST, ImportedDataset, ImportedImage, blob_key
from contracts.errors import FactoryError, UsageError
from contracts.evaluation import ACCURACY, AUC, BALANCED_ACCURACY, ECE, F1
from cv_factory.operations.data import split as splits
from cv_factory.operations.data.split import GROUP, RANDOM, Item, Unit
from cv_factory.operations.sources import Source, elpv
from inference.predictor import Predictor
from training import dataset, hardware, recipes
from training.scoring import intervals, metrics

RANDOM_SEEDS = (0, 1, 2)
FOLDS = 4
PARTS = (*(f"{RANDOM}:{seed}" for seed in RANDOM_SEEDS), *(f"{GROUP}:{fold}" for fold in range(FOLDS)))
SHARES = splits.shares(test_share=0.25, validation_share=0.15)
#: The share of a split that gets no group but those that are in it already.
_NOTHING = 1e-12
FLOORS = {RANDOM: 0.80, GROUP: 0.74}
TOLD = (BALANCED_ACCURACY, ACCURACY, F1, AUC, ECE)


@dataclass(frozen=True)
class Part:
    """The answers for one test set: path -> label and probabilities, and what the part cost in CPU seconds."""

    images: tuple[ImportedImage, ...]
    labels: Mapping[str, str]
    probabilities: Mapping[str, Mapping[str, float]]
    cpu_seconds: Mapping[str, float]

    def scores(self, classes: tuple[str, ...], positive: str | None) -> metrics.Scores:
        paths = [image.path for image in self.images]
        return metrics.scores_of(
            classes,
            positive,
            [image.label for image in self.images],
            [self.labels[path] for path in paths],
            [self.probabilities[path] for path in paths],
        )


def imported(found: Source, part: str, hashes: Mapping[str, str]) -> ImportedDataset:
    """The sample as an imported dataset with the split of ``part`` (``random:SEED`` or ``group:FOLD``)."""
    protocol, _, number = part.partition(":")
    items = [
        Item(each.path, hashes[each.path], each.label, each.group, each.target, each.slices) for each in found.images
    ]
    if protocol == GROUP:
        fixed = {Unit(group): TEST for group in fold_groups(found, int(number))}
        seed = 0
        assigned = splits.assign(items, protocol, {**SHARES, TEST: _NOTHING}, seed, fixed)
    else:
        seed = int(number)
        assigned = splits.assign(items, protocol, SHARES, seed)
    members = splits.units(items, protocol)
    where = {item.path: split for unit, split in assigned.items() for item in members[unit]}
    images = tuple(
        ImportedImage(
            each.path, blob_key(hashes[each.path], each.path), each.label, each.size, hashes[each.path], 300, 300, "L",
            where[each.path], each.group, each.target, each.slices,
        )
        for each in found.images
    )  # fmt: skip
    return ImportedDataset(
        source=found.identity,
        image_root="s3://benchmark/blobs/",
        classes=tuple(sorted(found.classes)),
        positive_class=found.positive_class,
        protocol=protocol,
        test_share=SHARES[TEST],
        seed=seed,
        split_id=part,
        slice_columns=found.slice_columns,
        images=images,
        licence=found.licence,
    )


def fold_groups(found: Source, fold: int) -> list[str]:
    """The modules of the test part of one of the four folds, in the order of the files."""
    from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

    ordered = sorted(found.images, key=lambda image: image.path.rpartition("/")[2])
    labels = [image.label == found.positive_class for image in ordered]
    groups = np.asarray([image.group for image in ordered])
    cut = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(groups, labels, groups)
    test = list(cut)[fold][1]
    return sorted(set(groups[test]))


def run_part(data: ImportedDataset, found: Source, recipe: str, seed: int, base: Path) -> Part:
    """Preprocess, train and ask the bundle, in folders below ``base``; a training that was cut off is resumed."""
    content = {each.path: each.read for each in found.images}
    steps.write_dataset(base, data, {image.path: content[image.path]().data for image in data.images})
    cpu = steps.preprocess_and_train(base, {"recipe": recipe, "seed": str(seed)})
    started = time.process_time()
    files = list(dataset.read(base / "input/data/dataset").files())
    answers = Predictor(base / "model", hardware.cpus()).predict([content for _, content in files])
    cpu["predict"] = round(time.process_time() - started, 1)
    images = {image.path: image for image in data.images}
    return Part(
        tuple(images[image.path] for image, _ in files),
        {image.path: answer.label for (image, _), answer in zip(files, answers, strict=True)},
        {image.path: answer.probabilities for (image, _), answer in zip(files, answers, strict=True)},
        cpu,
    )


def report(parts: Mapping[str, Part], classes: tuple[str, ...], positive: str | None) -> dict[str, Any]:
    """Protocol -> metric -> value and interval, of the parts that were run."""
    answer: dict[str, Any] = {}
    chosen = [parts[part] for part in PARTS if part in parts and part.startswith(RANDOM)]
    if chosen:
        each = [part.scores(classes, positive) for part in chosen]
        samples = [intervals.bootstrap(scores, np.arange(len(scores))) for scores in each]
        values = [metrics.estimate(scores) for scores in each]
        answer[RANDOM] = {
            name: _summary(
                float(np.mean([value[name] for value in values])), np.mean([sample[name] for sample in samples], axis=0)
            )
            for name in TOLD
        }
        answer[RANDOM]["each_balanced_accuracy"] = [round(value[BALANCED_ACCURACY], 4) for value in values]
    chosen = [parts[part] for part in PARTS if part in parts and part.startswith(GROUP)]
    if chosen:
        images = tuple(image for part in chosen for image in part.images)
        pooled = Part(
            images,
            {path: label for part in chosen for path, label in part.labels.items()},
            {path: row for part in chosen for path, row in part.probabilities.items()},
            {},
        ).scores(classes, positive)
        samples_of = intervals.bootstrap(pooled, intervals.clusters([image.group for image in images], GROUP))
        estimate = metrics.estimate(pooled)
        answer[GROUP] = {name: _summary(estimate[name], samples_of[name]) for name in TOLD}
        answer[GROUP]["each_balanced_accuracy"] = [
            round(metrics.estimate(part.scores(classes, positive))[BALANCED_ACCURACY], 4) for part in chosen
        ]
    return answer


def _summary(value: float, samples: metrics.Floats) -> dict[str, float]:
    low, high = np.quantile(samples[np.isfinite(samples)], [0.025, 0.975])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def run(
    recipe: str, wanted: Sequence[str], seed: int, keep: Path | None, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Run the wanted parts and summarise; with ``keep``, parts that were run before are taken from there."""
    found = elpv.scan()
    hashes = {each.path: hashing.of_bytes(each.read().data) for each in found.images}
    resolved = recipes.resolve(recipe)
    parts: dict[str, Part] = {}
    for part in wanted:
        data = imported(found, part, hashes)
        identity = recipes.fingerprint(data.hash, resolved, source.source_hash("training"), seed)
        file = keep / f"{part.replace(':', '-')}-{identity}.json" if keep else None
        if file and file.exists():
            value = jsonio.read(file)
            images = {image.path: image for image in data.images}
            parts[part] = Part(
                tuple(images[path] for path in value["labels"]), value["labels"], value["probabilities"], value["cpu"]
            )
            tell(f"{part}: from {file.name}")
            continue
        with tempfile.TemporaryDirectory(prefix="accuracy-", ignore_cleanup_errors=True) as temporary:
            base = keep / f"{part.replace(':', '-')}-{identity}" if keep else Path(temporary)
            done = parts[part] = run_part(data, found, recipe, seed, base)
            shutil.rmtree(base)
        if file:
            value = {"labels": done.labels, "probabilities": done.probabilities, "cpu": done.cpu_seconds}
            file.write_text(json.dumps(value))  # as it is: the order of the images is part of it
        estimate = metrics.estimate(parts[part].scores(data.classes, data.positive_class))
        tell(f"{part}: " + ", ".join(f"{name} {estimate[name]:.3f}" for name in TOLD) + f", CPU s {done.cpu_seconds}")
    classes = tuple(sorted(found.classes))
    summary = report(parts, classes, found.positive_class)
    complete = set(wanted) == set(PARTS)
    return {
        "benchmark": "accuracy",
        "recipe": recipe,
        "seed": seed,
        "parts": list(wanted),
        "protocols": summary,
        "cpu_seconds": {part: dict(parts[part].cpu_seconds) for part in wanted},
        "floors": FLOORS,
        "passed": all(summary[name][BALANCED_ACCURACY]["value"] >= floor for name, floor in FLOORS.items())
        if complete
        else None,
    }


def main() -> int:
    """The command; exit code 0 when nothing is below its floor."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="recipe quick, which has floors to hold")
    parser.add_argument("--recipe", default="strong", help="quick, strong, full or my_module:Recipe")
    parser.add_argument("--only", action="append", metavar="PART", help=f"one of {', '.join(PARTS)}; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of the training, not of the split")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep finished parts there, and go on from them")
    options = parser.parse_args()
    try:
        unknown = sorted(set(options.only or ()) - set(PARTS))
        if unknown:
            raise UsageError(f"there is no part {unknown[0]!r}", f"Parts: {', '.join(PARTS)}.")
        found = run(
            "quick" if options.quick else options.recipe,
            options.only or PARTS,
            options.seed,
            options.keep.resolve() if options.keep else None,
            lambda line: print(line, flush=True),
        )
    except FactoryError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(found, sort_keys=True))
    return 1 if found["passed"] is False else 0


if __name__ == "__main__":
    sys.exit(main())
