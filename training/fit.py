"""The training loop. Every random number is a function of the seed and the step, so a training that was stopped at any
moment and resumed ends with the same weights, bit for bit (CPU, same number of threads).
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from contracts.dataset import PreparedDataset, PreparedImage, target_vector
from contracts.errors import DataError
from training import augment, checkpoints, job, model
from training.checkpoints import Checkpoint
from training.dataset import Split
from training.recipes import Recipe

# First numbers of the seed sequences: what the random numbers are for.
_START, _ORDER, _VIEWS, _DROP = range(4)

_VALIDATION_BATCH = 32
#: A periodic checkpoint is put off until the steps since the last one took this many times what it took: under 2 %.
_CHECKPOINT_RATIO = 60
_PROGRESS_SECONDS = 15


@dataclass
class Epoch:
    """One line of the training curves; ``seconds`` of training alone, validation and checkpoints not counted."""

    train_loss: float
    validation_loss: float
    validation_balanced_accuracy: float
    learning_rate: float
    images_per_second: float


@dataclass
class Progress:
    """Where the training stands; with the tensors it is all that a checkpoint holds."""

    step: int = 0
    history: list[Epoch] = field(default_factory=list)
    loss_sum: float = 0.0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, step: int, value: dict[str, Any]) -> Progress:
        return cls(step, [Epoch(**epoch) for epoch in value["history"]], value["loss_sum"], value["seconds"])

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        del value["step"]
        return value


class Training:
    """The network, its average, the optimizer and the data of one training.

    Args:
        train, validation: pixels of both splits.
        fingerprint: what the checkpoints in ``folder`` must belong to.
        stop: asked between steps; when SIGTERM came, the state is saved and :class:`training.job.Stopped` is raised.

    Raises:
        DataError: a split is empty, or the training split has a single image.
    """

    def __init__(
        self,
        recipe: Recipe,
        manifest: PreparedDataset,
        train: Split,
        validation: Split,
        *,
        seed: int,
        fingerprint: str,
        folder: Path,
        stop: job.StopRequest,
    ) -> None:
        if len(train) < 2 or not len(validation):
            raise DataError(
                f"{len(train)} training and {len(validation)} validation images are too few",
                "Add images, or raise data.validation_share, and import the data again.",
            )
        self.recipe = recipe
        self._train, self._validation = train, validation
        self._seed, self._fingerprint, self._folder, self._stop = seed, fingerprint, folder, stop
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        classes = manifest.classes
        self._targets, self._labels = _targets(manifest, train.images)
        self._validation_targets, self._validation_labels = _targets(manifest, validation.images)
        counts = np.bincount(self._labels, minlength=len(classes)).clip(min=1)
        #: Weight of each class in the loss; the mean over the training images is 1.
        self.class_weights: NDArray[np.float64] = (
            counts.sum() / (len(classes) * counts) if recipe.class_balance else np.ones(len(classes))
        )
        self._batch = min(recipe.batch_size, len(train))
        self._epoch_steps = len(train) // self._batch
        self._total = self._epoch_steps * recipe.epochs
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        torch.manual_seed(self._number(_START))
        self.network = model.build(recipe, len(classes), 1 if manifest.color_mode == "L" else 3).to(self._device)
        self.average: nn.Module = copy.deepcopy(self.network).eval()
        state = self.network.state_dict()
        self._pairs = [(average, state[name]) for name, average in model.floating(self.average.state_dict())]
        self._optimizer = torch.optim.AdamW(model.parameter_groups(self.network, recipe), lr=recipe.learning_rate)
        for parameter in self.network.parameters():
            if parameter.requires_grad:  # AdamW would make them in its first step, after a checkpoint may be wanted
                moments = {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
                self._optimizer.state[parameter] = {"step": torch.tensor(0.0), **moments}
        self.progress = Progress()
        self._save_seconds = 0.0
        self._saved_at = time.monotonic()
        self._told_at = 0.0

    def run(self) -> None:
        """Train to the end, from the last checkpoint if there is one."""
        self._resume()
        self._saved_at = self._told_at = time.monotonic()
        progress = self.progress
        try:
            while True:
                if progress.step // self._epoch_steps > len(progress.history):
                    self._end_epoch()
                if progress.step == self._total:
                    break
                self._stop.check("")
                started = time.monotonic()
                progress.loss_sum += self._step(progress.step)
                progress.seconds += time.monotonic() - started
                progress.step += 1
                self._tell()
                self._save_if_due()
        except job.Stopped:
            saved = self._save()
            raise job.Stopped(f"{'checkpoint written' if saved else 'NO checkpoint'} at step {progress.step}") from None
        self._save()

    # --- one step -----------------------------------------------------------------------------------------------------

    def _step(self, step: int) -> float:
        """One update of the weights; the loss before it."""
        epoch, within = divmod(step, self._epoch_steps)
        rows = self._rows(epoch)[within * self._batch : (within + 1) * self._batch]
        batch = self._views(rows, epoch, np.random.default_rng([self._seed, _VIEWS, step]))
        weights = torch.from_numpy(self.class_weights[self._labels[rows]].astype(np.float32)).to(self._device)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate(step) * group["lr_factor"]
        model.train_mode(self.network, self.recipe.frozen)
        torch.manual_seed(self._number(_DROP, step))
        targets = self._targets[rows].to(self._device)
        loss = (functional.cross_entropy(self.network(batch), targets, reduction="none") * weights).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        decay = min(self.recipe.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for average, current in self._pairs:
                average.lerp_(current, 1 - decay)
        return float(loss.detach())

    def _views(self, rows: NDArray[np.int64], epoch: int, generator: np.random.Generator) -> Tensor:
        pixels = self._train.batch(rows)
        if self.recipe.dihedral:
            pixels = augment.turn(pixels, generator)
        batch = model.normalise(torch.from_numpy(pixels).to(self._device))
        batch = augment.shrink(batch, self.recipe.size_at(epoch))
        return augment.light(batch, self.recipe.gain, self.recipe.offset, generator)

    def _rows(self, epoch: int) -> NDArray[np.int64]:
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self._seed, _ORDER, epoch]).permutation(len(self._train))
        return self._order[1]

    def _number(self, purpose: int, step: int = 0) -> int:
        return int(np.random.SeedSequence([self._seed, purpose, step]).generate_state(1)[0])

    def _learning_rate(self, step: int) -> float:
        """Linear warm-up, then one cosine down to a thousandth."""
        warmup = int(self._epoch_steps * self.recipe.warmup_epochs)
        if step < warmup:
            return self.recipe.learning_rate * (step + 1) / warmup
        done = (step - warmup) / max(1, self._total - warmup)
        return self.recipe.learning_rate * (0.5 * (1 + math.cos(math.pi * done)) + 1e-3)

    # --- epochs -------------------------------------------------------------------------------------------------------

    def _end_epoch(self) -> None:
        progress = self.progress
        logits = np.concatenate(list(self._validation_logits()))
        rows = torch.from_numpy(logits)
        loss = float(functional.cross_entropy(rows, self._validation_targets))
        epoch = Epoch(
            train_loss=progress.loss_sum / self._epoch_steps,
            validation_loss=loss,
            validation_balanced_accuracy=_balanced_accuracy(logits.argmax(axis=1), self._validation_labels),
            learning_rate=self._learning_rate(progress.step - 1),
            images_per_second=self._epoch_steps * self._batch / max(progress.seconds, 1e-9),
        )
        progress.history.append(epoch)
        progress.loss_sum = progress.seconds = 0.0
        print(
            f"epoch={len(progress.history)}\ntrain_loss={epoch.train_loss:.5f}\nvalidation_loss={loss:.5f}\n"
            f"validation_balanced_accuracy={epoch.validation_balanced_accuracy:.4f}\n"
            f"images_per_second={epoch.images_per_second:.1f}",
            flush=True,
        )

    def _validation_logits(self) -> Iterator[NDArray[np.float32]]:
        """Logits of the averaged network for the validation split, one view, batch by batch."""
        for start in range(0, len(self._validation), _VALIDATION_BATCH):
            self._stop.check("")
            rows = range(start, min(start + _VALIDATION_BATCH, len(self._validation)))
            batch = model.normalise(torch.from_numpy(self._validation.batch(rows)).to(self._device))
            with torch.inference_mode():
                yield self.average(batch).float().cpu().numpy()

    def _tell(self) -> None:
        progress, now = self.progress, time.monotonic()
        if now - self._told_at < _PROGRESS_SECONDS or not progress.seconds:
            return
        self._told_at = now
        done = (progress.step % self._epoch_steps) or self._epoch_steps
        left = (self._total - progress.step) * progress.seconds / done
        speed = done * self._batch / progress.seconds
        print(
            f"step {progress.step} of {self._total}, {speed:.1f} images/s, about {_duration(left)} left",
            flush=True,
        )

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _save_if_due(self) -> None:
        due = self.progress.step % self.recipe.checkpoint_steps == 0
        if due and time.monotonic() - self._saved_at >= _CHECKPOINT_RATIO * self._save_seconds:
            self._save()

    def _save(self) -> bool:
        """Write a checkpoint; a full disk costs the checkpoint, not the training."""
        started = time.monotonic()
        try:
            checkpoints.save(
                self._folder,
                self._fingerprint,
                Checkpoint(self.progress.step, dict(self._tensors()), self.progress.to_json()),
            )
        except OSError as error:
            print(f"WARNING: no checkpoint at step {self.progress.step}: {error}", flush=True)
            return False
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started
        return True

    def _resume(self) -> None:
        found = checkpoints.latest(self._folder, self._fingerprint)
        if found is None:
            return
        for name, tensor in self._tensors():
            tensor.copy_(found.tensors[name])
        self.progress = Progress.from_json(found.step, found.extra)
        print(f"Resumed at step {found.step} of {self._total}", flush=True)

    @torch.no_grad()
    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor of the state by name: network, average, and AdamW's two moments and step count."""
        for prefix, network in (("network", self.network), ("average", self.average)):
            for name, tensor in network.state_dict().items():
                yield f"{prefix}.{name}", tensor
        for name, parameter in self.network.named_parameters():
            if not parameter.requires_grad:
                continue
            for key, tensor in sorted(self._optimizer.state[parameter].items()):
                yield f"optimizer.{name}.{key}", tensor


def configure(threads: int) -> None:
    """Make torch's results a function of its inputs, on this many threads."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Off: filling fresh memory with NaN finds bugs and costs a pass over every tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _targets(manifest: PreparedDataset, images: tuple[PreparedImage, ...]) -> tuple[Tensor, NDArray[np.int64]]:
    """Soft targets ``(N, classes) float32`` and the classes' numbers ``(N,)``."""
    rows = [target_vector(manifest.classes, manifest.positive_class, image.label, image.target) for image in images]
    number = {label: index for index, label in enumerate(manifest.classes)}
    labels = np.asarray([number[image.label] for image in images], np.int64)
    return torch.tensor(rows, dtype=torch.float32).reshape(len(images), len(manifest.classes)), labels


def _balanced_accuracy(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Mean of the recalls of the classes that occur."""
    return float(np.mean([(answers[labels == label] == label).mean() for label in np.unique(labels)]))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
