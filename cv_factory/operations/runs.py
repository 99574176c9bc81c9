"""``run``: import what changed, upsert, start, follow, say what came of it; with ``--demo`` also deploy and predict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts import evaluation as evaluations
from contracts import names
from contracts.dataset import TEST, ImportedDataset, ImportedImage
from contracts.errors import FactoryError, RefusedError
from contracts.s3uri import S3Uri
from cv_factory.operations import approving, executions, pipeline, release
from cv_factory.operations.data.importing import Imported, import_data
from cv_factory.operations.executions import Execution, Step
from cv_factory.operations.reporter import Reporter
from deployment import down
from deployment.packages import APPROVED, PENDING

if TYPE_CHECKING:
    from cv_factory.session import Target

#: Lines of a failed step's log that are shown.
LOG_LINES = 15


@dataclass
class Run:
    """A run as far as it has got.

    Attributes:
        outcome: ``registered`` (a new package waits, or was approved by the pipeline), ``known`` (a package has this
            bundle already) or ``nothing-new`` (the champion has it).
        package_arn: the package the outcome speaks of; empty where there is none.
        package_status: its approval status.
        evaluation: ``evaluation.json``, or None before there is one.
        prediction: of ``--demo``: the answer, and the image's path and true label.
        seconds: wall time of each part.
    """

    imported: Imported | None = None
    upserted: str = ""
    execution: Execution | None = None
    outcome: str = ""
    package_arn: str = ""
    package_status: str = ""
    evaluation: dict[str, Any] | None = None
    report: Path | None = None
    endpoint_name: str = ""
    prediction: dict[str, Any] | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = (self.evaluation or {}).get("metrics", {})
        return found

    def to_json(self) -> dict[str, Any]:
        about = self.execution
        return {
            "execution_arn": about.arn if about else "",
            "status": about.status if about else "",
            "steps": [step.to_json() for step in about.steps] if about else [],
            "outcome": self.outcome,
            "metrics": self.metrics,
            "protocol": (self.evaluation or {}).get("protocol", ""),
            "model_package_arn": self.package_arn,
            "model_package_status": self.package_status,
            "endpoint_name": self.endpoint_name,
            "prediction": self.prediction,
            "dataset_uri": str(self.imported.uri) if self.imported else "",
            "report": str(self.report) if self.report else "",
            "sheet": str(self.imported.sheet) if self.imported else "",
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the wall time of a block to ``seconds[part]``, also when it fails."""
    start = time.monotonic()
    try:
        yield
    finally:
        seconds[part] = seconds.get(part, 0.0) + time.monotonic() - start


def bring(target: Target, run: Run, reporter: Reporter) -> Imported:
    """Import ``data.source``; where nothing changed since an earlier import, nothing is sent."""
    with timed(run.seconds, "import"):
        run.imported = import_data(
            target.settings.data.source,
            settings=target.settings,
            base=target.base,
            state=target.state,
            client=target.client,
            reporter=reporter,
        )
    return run.imported


def begin(target: Target, run: Run, imported: Imported, reporter: Reporter) -> str:
    """Upsert the pipeline where its definition or role differs, and start it on the dataset; the execution's ARN."""
    with timed(run.seconds, "upsert"):
        values = pipeline.parameters(target, imported.uri, imported.dataset.hash)
        done = pipeline.upsert(target)
    run.upserted = done.action
    reporter.say(f"Pipeline {target.settings.names.pipeline} {done.action} (definition {done.definition_hash[:12]})")
    with timed(run.seconds, "start"):
        arn = pipeline.start(target, values)
    reporter.say(f"Started {arn}")
    return arn


def follow(target: Target, run: Run, arn: str, watch: Callable[[Execution], None], reporter: Reporter) -> None:
    """Follow an execution to its end; name the report as soon as it is there.

    Raises:
        RefusedError: the gate refused the model.
        FactoryError: a step failed: which, why, what to do; or the execution was stopped.
    """

    def look(execution: Execution) -> None:
        run.execution = execution
        watch(execution)
        _collect(target, run, reporter)

    with timed(run.seconds, "pipeline"):
        execution = executions.follow(target, arn, look)
    if execution.status != executions.SUCCEEDED:
        raise failure(target, execution, run)
    _conclude(target, run, execution)


def _collect(target: Target, run: Run, reporter: Reporter) -> None:
    """Read the evaluation and fetch the report once step Evaluate is done."""
    if run.evaluation is not None or run.execution is None:
        return
    prefix = executions.evaluation_uri(target, run.execution)
    if prefix is not None:
        run.evaluation = executions.read_evaluation(target, prefix)
        run.report = executions.save_report(target, run.execution, prefix)
        reporter.say(f"Report: {run.report}")


def failure(target: Target, execution: Execution, run: Run | None = None) -> FactoryError:
    """The error of an execution that did not succeed."""
    if execution.status == executions.STOPPED:
        return FactoryError(
            f"execution {execution.id} was stopped", f"Go on with it: cv-factory pipeline start --retry {execution.id}"
        )
    refused = execution.step(names.REFUSE)
    if refused is not None and refused.status == executions.FAILED:
        report = f"Report: {run.report}\n" if run and run.report else ""
        return RefusedError(
            refused.failure or f"the gate refused the model: {execution.failure}",
            f"{report}Better data or another recipe (training.recipe) may pass. The limits: gate, in the settings.",
        )
    failed = execution.failed_steps()
    if not failed:
        return FactoryError(
            f"execution {execution.id} is {execution.status}: {execution.failure or 'no reason given'}",
            f"cv-factory status {execution.id}",
        )
    return _step_failed(target, execution, failed[0])


def _step_failed(target: Target, execution: Execution, step: Step) -> FactoryError:
    try:
        lines = executions.last_lines(target, step, LOG_LINES)
    except Exception as error:  # the log must not hide the failure it is to explain
        lines = [f"(its log cannot be read: {error})"]
    log = "".join(f"  | {line}\n" for line in lines) or "  (it wrote no log)\n"
    return FactoryError(
        f"step {step.name} failed: {step.failure or execution.failure or 'no reason given'}",
        f"Its last lines:\n{log}All of it: cv-factory status {execution.id} --logs\n"
        f"Try the failed steps again: cv-factory pipeline start --retry {execution.id}",
    )


def _conclude(target: Target, run: Run, execution: Execution) -> None:
    """What a succeeded execution means for the registry."""
    registered = execution.step(names.REGISTER)
    keep = execution.step(names.KEEP)
    champion = execution.step(names.CHAMPION)
    if registered is not None and registered.status == executions.SUCCEEDED:
        run.outcome, run.package_arn = "registered", registered.arn
    elif keep is not None and keep.outputs.get("known"):
        run.outcome, run.package_arn = "known", keep.outputs["known"]
    else:
        run.outcome = evaluations.NOTHING_NEW
        run.package_arn = champion.outputs.get("package_arn", "") if champion else ""
    if run.package_arn:
        run.package_status = release.package(target, run.package_arn).approval


def demo(target: Target, run: Run, reporter: Reporter) -> None:
    """Approve the package where it waits, wait until the endpoint serves, and send it one held-out image.

    Raises:
        RefusedError: the package must not be approved.
        FactoryError: the deployment failed, or the endpoint did not answer.
    """
    import deployment

    if run.package_status == PENDING:
        review = approving.find(target, run.package_arn)
        decision = approving.approve(target, review, "approved by cv-factory run --demo")
        run.package_status = decision.after
        reporter.say(f"Approved: {decision.message}")
    with timed(run.seconds, "deploy"):
        now = release.serving(target)
        if down.is_down(target.client("s3"), target.settings.names):
            reporter.say(deployment.deploy(target.session, release.settings_of(target)).message)
            now = release.serving(target)
        if run.package_status == APPROVED and (now.status, now.package_arn) != (release.IN_SERVICE, run.package_arn):
            now = release.wait_until_served(
                target,
                run.package_arn,
                lambda each: reporter.say(f"Endpoint {each.endpoint}: {each.status or 'none yet'}"),
            )
    if now.status != release.IN_SERVICE:
        raise FactoryError(
            f"endpoint {now.endpoint} is {now.status or 'not there'}, and package {run.package_arn or 'none'} is"
            f" {run.package_status or 'not registered'}",
            "Approve a package: cv-factory approve. Or deploy what is approved: cv-factory deploy",
        )
    run.endpoint_name = now.endpoint
    with timed(run.seconds, "predict"):
        run.prediction = predict_held_out(target, run)


def predict_held_out(target: Target, run: Run) -> dict[str, Any]:
    """Send the first image of the test split, by hash, to the endpoint: no picking."""
    from cv_factory.client import Predictor

    if run.imported is None:
        raise ValueError("nothing was imported")
    image = held_out(run.imported.dataset)
    where = S3Uri.parse(run.imported.dataset.image_root) / image.key
    data = target.client("s3").get_object(Bucket=where.bucket, Key=where.key)["Body"].read()
    with Predictor(run.endpoint_name, target.session) as predictor:
        answer = predictor.predict(data)
    return {**answer, "image": image.path, "image_uri": str(where), "true_label": image.label}


def held_out(dataset: ImportedDataset) -> ImportedImage:
    """One image of the test split, the same for the same dataset, of no special kind."""
    return min((image for image in dataset.images if image.split == TEST), key=lambda image: image.sha256)
