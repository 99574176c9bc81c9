"""What the pages train in tests instead of ``quick``: a network of a few layers, made for tests by timm."""

from training.recipes import Recipe

Small = Recipe(
    name="small", architecture="test_resnet", pretrained=False, input_size=32, epochs=12, batch_size=8, drop_path=0.0,
    learning_rate=3e-3, checkpoint_steps=100,
)  # fmt: skip
