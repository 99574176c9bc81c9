"""The step Evaluate: a trained bundle and the test split -> every number, the verdict, and what people read.

The bundle is asked as the endpoint will be asked: the original files go through the handler of :mod:`inference`. The
champion, if there is one, is asked the same. Nothing here calls AWS, so the step may be cached and isolated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from contracts import archives, bundle, container, jsonio
from contracts import evaluation as contract
from contracts.bundle import FLOAT32, INT8, PRECISIONS, BundleSpec
from contracts.dataset import TEST, PreparedDataset
from contracts.errors import ContractError, UsageError
from training import dataset, job, model_card
from training.dataset import Prepared
from training.report import page
from training.scoring import evaluation as evaluations
from training.scoring import precision as precisions
from training.scoring.answers import Answer, Bundle
from training.scoring.evaluation import Champion, Evaluation
from training.scoring.gate import Rules

#: In the champion's folder: what Keep put beside the champion's bundle, or this one file when there is no champion.
NO_CHAMPION = "none.json"
CHAMPION_DATASET = "dataset_manifest.json"

#: Metrics that no slice has.
_NOT_PER_SLICE = (contract.LATENCY_MS, contract.BUNDLE_MB)


def evaluate(
    model: Path,
    prepared: Path,
    champion: Path,
    output: Path,
    rules: Rules,
    *,
    precision: str = FLOAT32,
    int8_max_loss: float = 0.0,
) -> Evaluation:
    """Evaluate the bundle in ``model`` and write the step's outputs to ``output``, ``evaluation.json`` last.

    Args:
        model: folder with ``model.tar.gz``.
        prepared: folder with the prepared dataset.
        champion: folder with the champion's kept artefacts, or with ``none.json``.
        precision: of the graph that is to be served; every graph is scored.
        int8_max_loss: of balanced accuracy; when int8 loses more, float32 is served.

    Raises:
        ContractError: an input is not what its contract says, or the bundle and the dataset do not belong together.
        DataError: an image of the test split cannot be used.
    """
    started = time.monotonic()
    data = dataset.read(prepared, verify=False)  # the test images are verified one by one
    with tempfile.TemporaryDirectory() as folder:
        challenger, spec = _unpack(model, Path(folder) / "challenger")
        _check(spec, data.manifest)
        each = {FLOAT32: challenger.ask(data.files(TEST), "this model")}
        if not each[FLOAT32]:
            raise ContractError("the test split has no image", "Import more images, or raise data.test_share.")
        if spec.int8 is not None:
            each[INT8] = Bundle(Path(folder) / "challenger", INT8).ask(data.files(TEST), "this model, int8")
        choice = precisions.choose(spec, each, precision, int8_max_loss)
        print(f"serving {choice.precision}: {choice.reason}", flush=True)
        previous, is_champion = _champion(champion, Path(folder) / "champion", spec, choice.precision, data)
        found = evaluations.evaluate(
            spec.at(choice.precision),
            data.manifest,
            each[choice.precision],
            (model / bundle.ARCHIVE).stat().st_size,
            None if is_champion else previous,
            rules,
            is_champion=is_champion,
            choice=choice,
        )
    print(f"metrics and intervals: {time.monotonic() - started:.1f} s after the start", flush=True)
    _write(output, found, data)
    print(f"{found.verdict.outcome}: {found.verdict.message}", flush=True)
    print(f"done in {time.monotonic() - started:.1f} s", flush=True)
    return found


def _unpack(source: Path, folder: Path, precision: str = FLOAT32) -> tuple[Bundle, BundleSpec]:
    archive = source / bundle.ARCHIVE
    if not archive.is_file():
        raise ContractError(f"{archive} is missing", "The input must hold what Train wrote.")
    archives.extract(archive, folder)
    loaded = Bundle(folder, precision)
    return loaded, loaded.predictor.spec


def _check(spec: BundleSpec, manifest: PreparedDataset) -> None:
    if spec.dataset_hash != manifest.dataset_hash:
        raise ContractError(
            f"the bundle was trained on dataset {spec.dataset_hash[:20]}, the test split is of "
            f"{manifest.dataset_hash[:20]}",
            "Evaluate a model on the dataset that it was trained on.",
        )
    if spec.classes != manifest.classes or spec.positive_class != manifest.positive_class:
        raise ContractError("the bundle and the dataset name different classes", "Run Train again.")


def _champion(
    source: Path, folder: Path, spec: BundleSpec, precision: str, data: Prepared
) -> tuple[Champion | None, bool]:
    """The champion with its answers on our test split, given by the graph that it is served with.

    Without answers, and True, when it is the same bundle served with the same graph.
    """
    if not (source / bundle.ARCHIVE).is_file():
        if (source / NO_CHAMPION).is_file():
            print("there is no champion to compare with", flush=True)
            return None, False
        raise ContractError(
            f"{source} holds neither {bundle.ARCHIVE} nor {NO_CHAMPION}",
            "The input champion must be what the step Champion names.",
        )
    manifest = PreparedDataset.from_json(jsonio.read(source / CHAMPION_DATASET))
    served = _served(source)
    try:
        loaded, champion_spec = _unpack(source, folder, served)
    except ContractError as error:
        raise ContractError(
            f"the champion cannot be scored: {error.headline}",
            "Reject the champion's package, or bring back the code that served it.",
        ) from None
    same = champion_spec.bundle_hash == spec.bundle_hash and served == precision
    answers: list[Answer] = [] if same else loaded.ask(data.files(TEST), "champion")
    return Champion(champion_spec, manifest, answers), same


def _served(champion: Path) -> str:
    """The precision that the champion's own evaluation chose; packages from before there was a choice have float32."""
    file = champion / contract.EVALUATION
    if not file.is_file():
        return FLOAT32
    serving = jsonio.read(file).get("serving") or {}
    return str(serving.get("precision", FLOAT32))


def _write(output: Path, found: Evaluation, data: Prepared) -> None:
    output.mkdir(parents=True, exist_ok=True)
    pq.write_table(predictions(found), output / contract.PREDICTIONS)
    wanted = {answer.image.path for answer in page.shown(found)}
    pictures = {image.path: content for image, content in data.files(TEST) if image.path in wanted}
    jsonio.write_bytes(output / contract.REPORT, page.render(found, pictures).encode())
    jsonio.write_bytes(output / contract.MODEL_CARD, model_card.render(found).encode())
    jsonio.write(output / contract.EVALUATION, found.to_json())
    _tell(found.verdict.message)


def _tell(message: str) -> None:
    """Leave ``message`` as the processing job's ExitMessage."""
    jsonio.write_bytes(container.local(job.MESSAGE), message.encode()[: container.MAX_FAILURE_CHARACTERS])


def predictions(found: Evaluation) -> pa.Table:
    """One row an image of the test split: truth, slices, the answer, and the champion's answer where there is one."""
    answers = found.answers
    images = [answer.image for answer in answers]
    columns: dict[str, pa.Array] = {
        "path": pa.array([image.path for image in images], pa.string()),
        "label": pa.array([image.label for image in images], pa.string()),
        "target": pa.array([image.target for image in images], pa.float64()),
        "group": pa.array([image.group for image in images], pa.string()),
    }
    for column in found.dataset.slice_columns:
        columns[f"slice.{column}"] = pa.array([image.slices.get(column) for image in images], pa.string())
    columns |= _answer_columns("", answers)
    columns["latency_ms"] = pa.array([answer.seconds * 1000 for answer in answers], pa.float64())
    if found.champion_answers is not None and found.compared is not None:
        columns |= _answer_columns("champion.", found.champion_answers)
        columns["champion.compared"] = pa.array([bool(value) for value in found.compared], pa.bool_())
    return pa.table(columns)


def _answer_columns(prefix: str, answers: Sequence[Answer]) -> dict[str, pa.Array]:
    classes = list(answers[0].prediction.probabilities)
    return {
        f"{prefix}predicted": pa.array([answer.prediction.label for answer in answers], pa.string()),
        **{
            f"{prefix}probability.{name}": pa.array(
                [answer.prediction.probabilities[name] for answer in answers], pa.float32()
            )
            for name in classes
        },
    }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"evaluate: {message}", self.format_usage().strip())


def _limit(names: Sequence[str]) -> Callable[[str], tuple[str, float]]:
    def read(text: str) -> tuple[str, float]:
        name, _, number = text.partition("=")
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name!r} is no metric; it must be one of {', '.join(names)}")
        return name, _finite(number)

    return read


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not -1e300 < value < 1e300:
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the step in a processing container."""
    parser = _Parser(prog="python -m training.evaluate", description=__doc__)
    per_slice = [name for name in contract.METRICS if name not in _NOT_PER_SLICE]
    for option, names, what in (
        ("--gate-min", contract.METRICS, "smallest value that passes"),
        ("--gate-min-per-slice", per_slice, "smallest value that passes in each slice of at least 30 images a class"),
        ("--gate-max", contract.METRICS, "largest value that passes"),
    ):
        parser.add_argument(option, action="append", default=[], type=_limit(names), metavar="NAME=VALUE", help=what)
    parser.add_argument("--champion-margin", required=True, type=_finite, help="balanced accuracy, 0 to 1")
    parser.add_argument("--precision", default=FLOAT32, choices=PRECISIONS, help="of the graph that is to be served")
    parser.add_argument("--int8-max-loss", default=0.0, type=_finite, help="balanced accuracy, 0 to 1")
    options = parser.parse_args(arguments)
    evaluate(
        container.local(f"{container.PROCESSING_INPUT}/model"),
        container.local(f"{container.PROCESSING_INPUT}/dataset"),
        container.local(f"{container.PROCESSING_INPUT}/champion"),
        container.local(f"{container.PROCESSING_OUTPUT}/evaluation"),
        Rules(
            dict(options.gate_min),
            dict(options.gate_min_per_slice),
            dict(options.gate_max),
            options.champion_margin,
        ),
        precision=options.precision,
        int8_max_loss=options.int8_max_loss,
    )


if __name__ == "__main__":
    sys.exit(job.run(main, job.MESSAGE))
