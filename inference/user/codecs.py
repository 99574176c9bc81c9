"""The toolkit's default decoders and encoders, by content type, without pickle and with limits.

``application/json``, ``text/csv`` (``numpy.genfromtxt``) and ``application/x-npy`` both ways, ``application/x-npz``
(a SciPy sparse matrix; SciPy must be in the bundle's ``requirements.txt``) in only. Source: ``decoder.py`` and
``encoder.py`` of sagemaker-inference 1.10.1, which reads ``.npy`` with ``allow_pickle=True``: that ran a client's code.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib import format as npy

from contracts.invocation import JSON
from inference.wire import DEFAULT_JSON_DEPTH, accepted_quality, check_depth

CSV, NPY, NPZ = "text/csv", "application/x-npy", "application/x-npz"
#: Bodies of these types reach ``input_fn`` as text.
TEXT_TYPES = (JSON, CSV)

#: An ``.npz`` that unpacks to more bytes is refused.
MAX_UNPACKED_BYTES = 256 * 1024 * 1024


class UnsupportedType(Exception):
    """No decoder for a Content-Type, or no encoder for an Accept."""

    def __init__(self, content_type: object) -> None:
        super().__init__(f"content type {content_type!r} is not supported")
        self.content_type = content_type


def decode(data: Any, content_type: str | None, *, max_depth: int = DEFAULT_JSON_DEPTH) -> Any:
    """A NumPy array (``.npz``: a SciPy sparse matrix) from a request's body.

    Raises:
        UnsupportedType: there is no decoder for ``content_type``.
        ValueError: the body is not what ``content_type`` says.
    """
    media_type = media_type_of(content_type)
    if media_type == JSON:
        value = json.loads(data)
        check_depth(value, max_depth)
        return np.array(value)
    if media_type not in _DECODERS:
        raise UnsupportedType(content_type)
    return _DECODERS[media_type](data)


def encode(value: Any, content_type: str) -> str | bytes:
    """An array or anything array-like as ``content_type``.

    Raises:
        UnsupportedType: there is no encoder for ``content_type``.
        ValueError: it cannot be written so: NaN or infinity in JSON, Python objects as ``.npy``.
    """
    media_type = media_type_of(content_type)
    if media_type not in _ENCODERS:
        raise UnsupportedType(content_type)
    return _ENCODERS[media_type](value)


def choose(accept: str) -> str:
    """The encoder's content type that an Accept header prefers (RFC 9110, section 12.5.1); JSON among equals.

    Raises:
        UnsupportedType: it allows none.
    """
    best = max(_ENCODERS, key=lambda name: accepted_quality(accept, name))
    if accepted_quality(accept, best) <= 0:
        raise UnsupportedType(accept)
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    equal = [name for name in _ENCODERS if accepted_quality(accept, name) == accepted_quality(accept, best)]
    # Among equals the first that is named wins, as in the toolkit.
    return min(equal, key=lambda name: named.index(name) if name in named else len(named))


def media_type_of(content_type: str | None) -> str:
    """The type without its parameters, in lower case."""
    return (content_type or "").partition(";")[0].strip().lower()


def _csv(data: Any) -> Any:
    return np.genfromtxt(
        io.StringIO(data if isinstance(data, str) else bytes(data).decode()), dtype=None, delimiter=","
    )


def _npy(data: Any) -> Any:
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the NPY format is not read")
    shape, fortran, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects is not read: it would have to be unpickled")
    count = 1
    for length in shape:
        count *= length
    offset = stream.tell()
    if count * dtype.itemsize != len(data) - offset or min(shape, default=0) < 0:
        raise ValueError("the array has another size than its header says")  # before anything of it is allocated
    # A copy, because a view on the body could not be written to.
    flat = np.frombuffer(bytes(data), dtype, offset=offset).copy() if count else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _npz(data: Any) -> Any:
    try:
        from scipy import sparse  # type: ignore[import-untyped]
    except ImportError:
        raise UnsupportedType(NPZ) from None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ValueError(f"it is no NPZ file: {error}") from None
    if unpacked > MAX_UNPACKED_BYTES:
        raise ValueError(f"it unpacks to {unpacked} bytes; at most {MAX_UNPACKED_BYTES} are accepted")
    try:
        return sparse.load_npz(io.BytesIO(data))  # SciPy reads it without pickle
    except (KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is no sparse matrix: {error}") from None


def _to_json(value: Any) -> str:
    def default(item: Any) -> Any:
        if hasattr(item, "tolist"):
            return item.tolist()
        raise TypeError(f"an object of type {type(item).__name__} cannot be written as JSON")

    return json.dumps(value, default=default, allow_nan=False)


def _to_csv(value: Any) -> str:
    stream = io.StringIO()
    np.savetxt(stream, value, delimiter=",", fmt="%s")
    return stream.getvalue()


def _to_npy(value: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=False)
    return stream.getvalue()


_DECODERS: dict[str, Callable[[Any], Any]] = {CSV: _csv, NPY: _npy, NPZ: _npz}
_ENCODERS: dict[str, Callable[[Any], str | bytes]] = {JSON: _to_json, CSV: _to_csv, NPY: _to_npy}
