"""The trained network -> one ONNX graph. The same weights give the same bytes, wherever the code lies."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from contracts import bundle, jsonio
from contracts.errors import FactoryError

#: What the exported graph may differ from torch by, in logits; both compute in float32, in another order.
_TOLERANCE = 1e-3


class Served(nn.Module):
    """What is served: the network in evaluation mode, its views averaged (1, or the 4 rotations)."""

    def __init__(self, network: nn.Module, views: int) -> None:
        super().__init__()
        self.network = network
        self.views = views

    def forward(self, image: Tensor) -> Tensor:
        """``(N, C, S, S) float32`` -> logits ``(N, classes) float32``."""
        if self.views == 1:
            logits: Tensor = self.network(image)
            return logits
        rotated = torch.cat([torch.rot90(image, turns, (2, 3)) for turns in range(self.views)])
        each: Tensor = self.network(rotated)
        # The log of the mean probability, without ever taking the log of 0.
        logs = each.reshape(self.views, -1, each.shape[1]).log_softmax(dim=2)
        return logs.logsumexp(dim=0) - math.log(self.views)


def to_onnx(served: Served, channels: int, size: int, path: Path) -> None:
    """Write the graph to ``path``, inputs and outputs as :mod:`contracts.bundle` says, any number of images.

    Raises:
        FactoryError: the graph's logits are not torch's.
    """
    # The exporter wants the default memory layout; in another one it writes other, slower graphs.
    served = copy.deepcopy(served).cpu().eval().to(memory_format=torch.contiguous_format)
    # Not zeros: every branch and weight must show in the comparison below.
    example = torch.from_numpy(np.random.default_rng(0).normal(0, 0.5, (2, channels, size, size)).astype(np.float32))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            served,
            (example,),
            dynamo=True,
            dynamic_shapes={"image": {0: torch.export.Dim("N", min=1)}},
            input_names=[bundle.INPUT_NAME],
            output_names=[bundle.OUTPUT_NAME],
            external_data=False,
            verbose=False,
        )
        expected = served(example).numpy()
    if program is None:
        raise FactoryError("the ONNX exporter gave no graph")
    graph = program.model_proto
    strip(graph)
    onnx.checker.check_model(graph)
    jsonio.write_bytes(path, graph.SerializeToString(deterministic=True))
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows in (example, example[:1]):
        got = session.run([bundle.OUTPUT_NAME], {bundle.INPUT_NAME: rows.numpy()})[0]
        worst = float(np.abs(got - expected[: len(rows)]).max())
        if not worst <= _TOLERANCE:
            raise FactoryError(f"the exported graph differs from the network by {worst:.2g} in a logit")


def strip(graph: onnx.ModelProto) -> None:
    """Remove what is not needed to run it: the exporter notes source lines with this machine's paths."""
    del graph.metadata_props[:]
    graph.doc_string = ""
    graph.graph.doc_string = ""
    del graph.graph.metadata_props[:]
    del graph.graph.value_info[:]
    for items in (graph.graph.node, graph.graph.initializer, graph.graph.input, graph.graph.output):
        for item in items:
            item.doc_string = ""
            del item.metadata_props[:]
    for function in graph.functions:
        function.doc_string = ""
        del function.metadata_props[:]
