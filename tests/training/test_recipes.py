"""Recipes: named, typed, overridden by text, and fingerprinted."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import pytest

from contracts.errors import UsageError
from training.recipes import Recipe, fingerprint, resolve

CHANGED = {
    "name": "other", "architecture": "resnet18", "pretrained": False, "input_size": 96, "frozen": ("bn1",), "epochs": 3,
    "train_sizes": (64, 96), "batch_size": 16, "learning_rate": 1e-4, "head_factor": 1.0, "weight_decay": 0.1,
    "warmup_epochs": 1.0, "drop": 0.0, "drop_path": 0.3, "ema_decay": 0.9, "class_balance": False, "dihedral": False,
    "gain": 0.0, "offset": 0.0, "views": 4, "checkpoint_steps": 7,
    "micro_batch": 8, "micro_batch_ms": 5.0,
}  # fmt: skip
BASE = Recipe(pretrained=False)


@pytest.mark.parametrize("name", ["quick", "strong", "full"])
def test_shipped_recipes_have_their_name_and_survive_text(name: str) -> None:
    recipe = resolve(name)
    assert recipe.name == name
    assert resolve("quick", recipe.hyperparameters()) == recipe


def test_every_hyperparameter_is_text_and_comes_back() -> None:
    recipe = Recipe(train_sizes=(64, 96), frozen=("conv_stem", "blocks.0"), learning_rate=0.1 + 0.2)
    texts = recipe.hyperparameters()
    assert set(texts) == {option.name for option in fields(Recipe)}
    assert all(isinstance(text, str) for text in texts.values())
    assert resolve("quick", texts) == recipe


def test_the_table_of_changes_covers_every_option() -> None:
    assert set(CHANGED) == {option.name for option in fields(Recipe)}


@pytest.mark.parametrize("option", sorted(CHANGED))
def test_any_changed_option_changes_the_fingerprint(option: str) -> None:
    base = Recipe() if option == "pretrained" else BASE
    changed = replace(base, **{option: CHANGED[option]})
    assert fingerprint("d", changed, "s", 0) != fingerprint("d", base, "s", 0)


def test_data_code_and_seed_change_the_fingerprint() -> None:
    values = {
        fingerprint("d", BASE, "s", 0),
        fingerprint("e", BASE, "s", 0),
        fingerprint("d", BASE, "t", 0),
        fingerprint("d", BASE, "s", 1),
    }
    assert len(values) == 4
    assert fingerprint("d", BASE, "s", 0) == fingerprint("d", BASE, "s", 0)


def test_a_recipe_of_ones_own_is_found_by_name() -> None:
    assert resolve("shapes_recipe:Tiny").name == "tiny"
    assert resolve("shapes_recipe:Odd").name == "custom"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("quik", "quick, strong, full"),
        ("no_such_module:Tiny", "training.my_module:Recipe"),
        ("shapes_recipe:Missing", "has no Missing"),
        ("shapes_recipe:NOT_A_RECIPE", "is a int, not a Recipe"),
        ("../etc:Tiny", "there is no recipe"),
    ],
)
def test_an_unknown_recipe_says_what_there_is(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=r".") as error:
        resolve(name)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("option", "text", "says"),
    [
        ("epochs", "three", "epochs must be a whole number"),
        ("epochs", "1.5", "epochs must be a whole number"),
        ("epochs", "0", "1 to 1000"),
        ("learning_rate", "nan", "learning_rate must be a number"),
        ("learning_rate", "-1", "above 0"),
        ("class_balance", "yes", "true or false"),
        ("views", "3", "1 or 4"),
        ("train_sizes", "64,big", "whole numbers with commas"),
        ("train_sizes", "64,8", "sizes of 32 to 1024"),
        ("pretrained", "true", "no pretrained weights for resnet34"),
        ("epoch", "3", "unknown hyperparameter 'epoch'"),
    ],
)
def test_a_wrong_hyperparameter_names_itself_and_the_range(option: str, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=r".") as error:
        resolve("quick", {"architecture": "resnet34", "pretrained": "false", option: text})
    assert says in str(error.value)


def test_sizes_change_by_epoch_and_stay_at_the_last() -> None:
    recipe = Recipe(train_sizes=(64, 96))
    assert [recipe.size_at(epoch) for epoch in range(4)] == [64, 96, 96, 96]
    assert Recipe().size_at(5) == Recipe().input_size


def test_recipes_need_the_standard_library_only() -> None:
    """The command line imports this module on every run."""
    code = "import sys, training.recipes; print([m for m in ('numpy', 'torch', 'pydantic', 'PIL') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_option_is_documented() -> None:
    documented = Recipe.__doc__ or ""
    for option in fields(Recipe):
        assert f"{option.name}:" in documented
