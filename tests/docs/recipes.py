"""What the pages train in tests instead of ``quick``: the same network and weights, smaller pictures, less of it."""

from training.recipes import Recipe

Small = Recipe(
    name="small", input_size=64, epochs=8, batch_size=8, frozen=("conv_stem", "bn1", "blocks.0", "blocks.1"),
    warmup_epochs=0.25, checkpoint_steps=100,
)  # fmt: skip
