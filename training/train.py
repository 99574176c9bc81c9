"""The step Train: prepared dataset -> sealed model bundle, in a SageMaker training container.

Hyperparameters (strings): ``recipe``, ``seed``, ``source_hash``, and any option of :class:`training.recipes.Recipe`.
Channel: ``dataset``. SIGTERM writes a checkpoint and ends with exit code 143; started again with the same data, recipe,
seed and code, it goes on from there.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass

from contracts import jsonio
from contracts.dataset import TRAIN, VALIDATION
from contracts.errors import ContractError, UsageError
from training import dataset, hardware, job, recipes
from training.recipes import Recipe

#: Hyperparameters that are not options of the recipe.
_OWN = ("recipe", "seed", "source_hash")
#: What SageMaker itself adds for a tuning job, and what its SDK adds.
_FOREIGN = ("_tuning_objective_metric", "sagemaker_")

HISTORY = "history.json"


@dataclass(frozen=True)
class Request:
    """What the hyperparameters ask for."""

    recipe: Recipe
    seed: int
    source_hash: str

    @classmethod
    def read(cls, given: dict[str, str]) -> Request:
        """Raises UsageError: a hyperparameter is unknown, missing, of the wrong type or out of range."""
        for name in ("recipe", "source_hash"):
            if not given.get(name):
                raise UsageError(
                    f"hyperparameter {name} is missing",
                    "The definition sets recipe, seed and source_hash. Build it again: cv-factory pipeline build",
                )
        overrides = {name: value for name, value in given.items() if name not in _OWN and not name.startswith(_FOREIGN)}
        known = recipes.Recipe().hyperparameters()
        for name in overrides:
            if name not in known:
                raise UsageError(f"unknown hyperparameter {name!r}", f"Known: {', '.join([*_OWN, *sorted(known)])}.")
        return cls(
            recipes.resolve(given["recipe"], overrides),
            job.whole_number(given, "seed", 0),
            given["source_hash"],
        )


def train(work: job.TrainingJob, stop: job.StopRequest) -> None:
    """Train, export and seal; all the files that SageMaker picks up are written when this returns.

    Raises:
        FactoryError: the configuration or the data cannot be used.
        Stopped: SIGTERM came; the checkpoint is written.
    """
    request = Request.read(dict(work.hyperparameters))
    if len(work.hosts) > 1:
        raise UsageError(
            f"the training job has {len(work.hosts)} instances; training runs on one",
            "Set training.instance_count to 1.",
        )
    recipe = request.recipe
    prepared = dataset.read(work.channel("dataset"))
    manifest = prepared.manifest
    if manifest.input_size != recipe.input_size:
        raise ContractError(
            f"the images were prepared at {manifest.input_size} pixels; recipe {recipe.name} wants {recipe.input_size}",
            "Preprocess and Train must get the same recipe.",
        )
    train_split, validation = prepared.split(TRAIN), prepared.split(VALIDATION)
    dataset.check_classes(manifest.classes, {image.label for image in train_split.images})
    threads = hardware.cpus()
    fingerprint = recipes.fingerprint(manifest.dataset_hash, recipe, request.source_hash, request.seed)
    print(
        f"recipe {recipe.name}, seed {request.seed}, {len(train_split)} training and {len(validation)} validation"
        f" images, protocol {manifest.protocol}, {threads} threads, checkpoints {fingerprint}",
        flush=True,
    )
    if untuned := hardware.untuned():
        print(
            f"WARNING: without {', '.join(untuned)} training takes twice the CPU time; see training/Dockerfile",
            flush=True,
        )

    # Torch takes 2 s to import: a wrong hyperparameter should not wait for it.
    from training import fit

    fit.configure(threads)
    training = fit.Training(
        recipe,
        manifest,
        train_split,
        validation,
        seed=request.seed,
        fingerprint=fingerprint,
        folder=work.checkpoints,
        stop=stop,
    )
    with stop.deferred():
        training.run()
    stop.check("after the last step; the checkpoint is written")

    started = time.monotonic()
    from training import bundling, tracking

    spec = bundling.assemble(
        work.model,
        training.average,
        recipe,
        manifest,
        train_split,
        validation,
        source_hash=request.source_hash,
        threads=threads,
    )
    print(f"bundle {spec.bundle_hash}, temperature {spec.temperature}, {time.monotonic() - started:.1f} s", flush=True)

    # From here on the model is complete: SIGTERM hurries the rest and changes nothing.
    with stop.deferred():
        record = tracking.Record(
            name=os.environ.get("TRAINING_JOB_NAME", f"{recipe.name}-{fingerprint}"),
            parameters={
                **recipe.hyperparameters(),
                "seed": str(request.seed),
                "protocol": manifest.protocol,
                "dataset_hash": manifest.dataset_hash,
                "source_hash": request.source_hash,
                "bundle_hash": spec.bundle_hash,
            },
            history=training.progress.history,
            metrics={"temperature": spec.temperature},
            bundle=work.model,
            finished=time.time(),
        )
        jsonio.write(work.output_data / HISTORY, [asdict(epoch) for epoch in record.history])
        tracking.track(record, work.output_data, stop)


def main() -> None:
    """Run the step in a training container."""
    stop = job.StopRequest()
    train(job.TrainingJob.read(), stop)


if __name__ == "__main__":
    code = job.run(main, job.FAILURE)
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that still waits for a tracking server can block or break Python's own ending. All files are written.
    os._exit(code)
