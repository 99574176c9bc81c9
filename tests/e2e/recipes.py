"""A recipe small enough for a test: the network is real, the images are few and small."""

from training.recipes import Recipe

Tiny = Recipe(name="tiny", pretrained=False, input_size=32, epochs=2, batch_size=8, checkpoint_steps=2)
