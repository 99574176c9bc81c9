"""A recipe that trains in seconds: what is asked for is the same, whatever the network learns."""

from training.recipes import Recipe

Tiny = Recipe(name="tiny", pretrained=False, input_size=32, epochs=2, batch_size=8, checkpoint_steps=2)
