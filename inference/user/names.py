"""What user code finds when it imports ``sagemaker_inference``: the toolkit's names, with our decoders.

The serving image needs neither the toolkit nor SciPy and boto3, which it requires. Where the toolkit is installed, its
other modules (``transformer``, ``utils``, …) are its own, but ``decoder`` and ``encoder`` are ours all the same,
because the toolkit's decoder unpickles what a client sent.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

from inference.user import codecs

ROOT = "sagemaker_inference"


class UnsupportedFormatError(codecs.UnsupportedType):
    """No decoder or encoder for a content type."""


class BaseInferenceToolkitError(Exception):
    """Raised by user code to answer with a status and a message of its own."""

    def __init__(self, status_code: int, message: str, phrase: str) -> None:
        super().__init__(status_code, message, phrase)
        self.status_code, self.message, self.phrase = status_code, message, phrase


class GenericInferenceToolkitError(BaseInferenceToolkitError):
    def __init__(self, status_code: int, message: str | None = None, phrase: str | None = None) -> None:
        message = message or "Invalid Request"
        super().__init__(status_code, message, phrase or message)


class DefaultInferenceHandler:
    """The toolkit's default functions; ``default_model_fn`` and ``default_predict_fn`` must be provided."""

    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:
        raise NotImplementedError("Please provide a model_fn implementation.")

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        return decode(input_data, content_type)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        raise NotImplementedError("Please provide a predict_fn implementation.")

    def default_output_fn(self, prediction: Any, accept: str, context: Any = None) -> Any:
        chosen = codecs.choose(accept)
        return codecs.encode(prediction, chosen), chosen


def decode(obj: Any, content_type: str) -> Any:
    """``sagemaker_inference.decoder.decode``."""
    try:
        return codecs.decode(obj, content_type)
    except codecs.UnsupportedType:
        raise UnsupportedFormatError(content_type) from None


def encode(array_like: Any, content_type: str) -> Any:
    """``sagemaker_inference.encoder.encode``."""
    try:
        return codecs.encode(array_like, content_type)
    except codecs.UnsupportedType:
        raise UnsupportedFormatError(content_type) from None


_MODULES: dict[str, dict[str, Any]] = {
    "content_types": {
        "JSON": "application/json", "CSV": "text/csv", "OCTET_STREAM": "application/octet-stream", "ANY": "*/*",
        "NPY": codecs.NPY, "NPZ": codecs.NPZ, "UTF8_TYPES": ["application/json", "text/csv"],
    },
    "errors": {
        "UnsupportedFormatError": UnsupportedFormatError,
        "BaseInferenceToolkitError": BaseInferenceToolkitError,
        "GenericInferenceToolkitError": GenericInferenceToolkitError,
    },
    "decoder": {"decode": decode},
    "encoder": {"encode": encode, "SUPPORTED_CONTENT_TYPES": {"application/json", codecs.CSV, codecs.NPY}},
    "default_inference_handler": {"DefaultInferenceHandler": DefaultInferenceHandler},
}  # fmt: skip


def provide() -> None:
    """Make ``import sagemaker_inference.…`` find these modules from now on."""
    installed = PathFinder.find_spec(ROOT)
    root = ModuleType(ROOT, __doc__)
    root.__path__ = list(installed.submodule_search_locations or []) if installed else []
    sys.modules[ROOT] = root
    for name, members in _MODULES.items():
        module = ModuleType(f"{ROOT}.{name}")
        module.__dict__.update(members)
        setattr(root, name, module)
        sys.modules[module.__name__] = module
