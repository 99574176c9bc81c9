"""A recipe of one's own, as ``shapes_recipe:Tiny``: timm's smallest test network, 32 pixels."""

from training.recipes import Recipe

Tiny = Recipe(
    name="tiny",
    architecture="test_efficientnet",
    pretrained=False,
    input_size=32,
    epochs=24,
    batch_size=8,
    learning_rate=3e-3,
    checkpoint_steps=5,
    frozen=("conv_stem",),
)


class Odd(Recipe):
    """A subclass is a recipe too; its options are given where it is made."""


NOT_A_RECIPE = 42
