"""Finding and loading a user module, and calling its functions as the toolkit calls them.

Source: ``transformer.py`` and ``environment.py`` of sagemaker-inference 1.10.1.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from contracts.errors import FactoryError

PROGRAM = "SAGEMAKER_PROGRAM"
DEFAULT_PROGRAM = "inference.py"
CODE = "code"

#: Names of our own packages: a user module that is called so is registered under a private name.
_TAKEN = {"inference", "contracts"}
_PRIVATE = "_user_module"

#: Function -> how many arguments it gets; each may take the context as one more.
ARGUMENTS = {
    "pre_model_fn": 1,
    "model_fn": 1,
    "model_warmup_fn": 2,
    "input_fn": 2,
    "predict_fn": 2,
    "output_fn": 2,
    "transform_fn": 4,
}
_REQUEST_FUNCTIONS = ("input_fn", "predict_fn", "output_fn")


class UserModuleError(FactoryError):
    """The bundle's code cannot be used; the start ends with it."""


def find(model_dir: Path, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The user module's file, or None when the bundle has none.

    Raises:
        UserModuleError: ``SAGEMAKER_PROGRAM`` names a module that is not there.
    """
    named = environment.get(PROGRAM, "").strip()
    program = named or DEFAULT_PROGRAM
    code = model_dir / CODE
    stem = program.removesuffix(".py")
    inside = stem if "/" in stem else stem.replace(".", "/")
    for candidate in (code / f"{inside}.py", code / inside / "__init__.py"):
        if candidate.is_file() and candidate.resolve().is_relative_to(code.resolve()):
            return candidate
    if named and stem not in _TAKEN and stem.isidentifier():
        spec = importlib.util.find_spec(stem)  # baked into the image, for example
        if spec is not None and spec.origin:
            return Path(spec.origin)
    if named:
        raise UserModuleError(
            f"{PROGRAM} is {named!r}, and {CODE}/ of the model has no {inside}.py",
            "Name a file in code/, or leave the variable away when the bundle needs no module.",
        )
    return None


def load(path: Path, model_dir: Path) -> ModuleType:
    """The module in ``path``, imported; ``code/`` is first in the search path, as the toolkit puts it.

    Raises:
        UserModuleError: its import failed; the traceback is on the error's ``__cause__``.
    """
    code = str(model_dir / CODE)
    from inference.user import names  # numpy comes with it: the supervisor, which looks here too, has no threads

    names.provide()
    sys.dont_write_bytecode = True  # the model's folder stays as it is
    sys.path.insert(0, code)
    os.environ["PYTHONPATH"] = os.pathsep.join([code, *filter(None, [os.environ.get("PYTHONPATH")])])
    stem = path.parent.name if path.name == "__init__.py" else path.stem
    name = _PRIVATE if stem in _TAKEN or stem in sys.modules else stem
    package = [str(path.parent)] if path.name == "__init__.py" else None
    spec: ModuleSpec | None = importlib.util.spec_from_file_location(name, path, submodule_search_locations=package)
    if spec is None or spec.loader is None:
        raise UserModuleError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserModuleError(f"{path.name} cannot be imported: {type(error).__name__}: {error}") from error
    return module


@dataclass(frozen=True, slots=True)
class Function:
    """A user function, or a default, and how the context goes in: ``""`` not at all, ``"last"``, or by ``"name"``."""

    call: Callable[..., Any]
    context: str
    default: bool = False

    def __call__(self, *arguments: Any, context: Any) -> Any:
        if self.context == "last":
            result = self.call(*arguments, context)
        elif self.context:
            result = self.call(*arguments, **{self.context: context})
        else:
            result = self.call(*arguments)
        return _awaited(result) if inspect.isawaitable(result) else result


def function(name: str, call: Callable[..., Any], *, default: bool = False) -> Function:
    """``call`` as the function ``name``.

    Raises:
        UserModuleError: it cannot be called with the arguments that the contract gives it.
    """
    count = ARGUMENTS[name]
    if not callable(call):
        raise UserModuleError(f"{name} is no function but {type(call).__name__}")
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):  # written in C, without a signature
        return Function(call, "", default)
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    open_ended = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    named = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    required = [one for one in places if one.default is one.empty]
    demanded = [one.name for one in named if one.default is one.empty and one.name != "context"]
    if len(required) > count + 1 or (len(places) < count and not open_ended) or demanded:
        raise UserModuleError(
            f"{name}{inspect.signature(call)} cannot be called: it gets {count} arguments, and may take the context "
            "as one more"
        )
    if any(one.name == "context" for one in named):
        return Function(call, "context", default)
    if len(places) > count:
        one = places[count]
        # A further argument with a default of its own is the context only if it is called so.
        if one.default is one.empty or one.name in ("context", "ctx"):
            return Function(call, "last", default)
        later = next((two for two in places[count + 1 :] if two.name == "context"), None)
        return Function(
            call, "context" if later is not None and later.kind is not later.POSITIONAL_ONLY else "", default
        )
    return Function(call, "", default)


def functions(module: ModuleType, handler: Any) -> dict[str, Function]:
    """Every function of the contract by name, the user's or ``handler``'s default. What neither has is missing.

    Raises:
        UserModuleError: transform_fn together with one of the functions that it replaces, or one that cannot be called.
    """
    own = {name: value for name in ARGUMENTS if (value := getattr(module, name, None)) is not None}
    clashing = [name for name in _REQUEST_FUNCTIONS if name in own]
    if "transform_fn" in own and clashing:
        raise UserModuleError(
            f"transform_fn cannot be used together with {', '.join(clashing)}",
            "Keep transform_fn, or the three functions input_fn, predict_fn and output_fn.",
        )
    found = {name: function(name, value) for name, value in own.items()}
    for name in ARGUMENTS:
        default = getattr(handler, f"default_{name}", None)
        if name not in found and default is not None:
            found[name] = function(name, default, default=True)
    return found


_local = threading.local()


def _awaited(result: Any) -> Any:
    """The value of an awaitable; each thread has an event loop of its own, which lives as long as the thread."""
    if not hasattr(_local, "runner"):
        _local.runner = asyncio.Runner()

    async def wait() -> Any:
        return await result

    return _local.runner.run(wait())
