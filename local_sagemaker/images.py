"""Container images without a container engine: an image URI is bound to a command on this machine.

A binding is made with ``PUT /_local/images``; its pattern is an ``fnmatch`` pattern for image URIs. A job whose image
is not bound fails as a job fails whose image cannot be pulled, and the sentence says how to bind it.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIND = "image-binding"


class Unbound(Exception):
    """No binding's pattern matches the image URI; the message says how to bind it."""


class BadBinding(ValueError):
    """A binding that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What runs for an image: ``entrypoint`` as the image's ENTRYPOINT, ``environment`` as its ENV, its WORKDIR."""

    entrypoint: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    working_dir: Path = Path("/")


class Images:
    """The bindings, kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def bind(
        self, pattern: str, entrypoint: list[str], environment: Mapping[str, str] | None = None, working_dir: str = "/"
    ) -> None:
        """Bind the image URIs that match ``pattern``; the same pattern again replaces its binding.

        Raises:
            BadBinding: an empty pattern or entrypoint, a wrong type, a relative or missing working folder.
        """
        environment = dict(environment or {})
        if not isinstance(pattern, str) or not pattern:
            raise BadBinding("pattern must be a text that matches image URIs, for example *.dkr.ecr.*/repo/training:*")
        if not isinstance(entrypoint, list) or not entrypoint or not all(isinstance(part, str) for part in entrypoint):
            raise BadBinding("entrypoint must be a list of one or more texts, as in the image's ENTRYPOINT")
        if not all(isinstance(key, str) and isinstance(value, str) for key, value in environment.items()):
            raise BadBinding("environment must map texts to texts")
        if not isinstance(working_dir, str) or not Path(working_dir).is_absolute() or not Path(working_dir).is_dir():
            raise BadBinding(f"working_dir must be an existing folder with an absolute path, not {working_dir!r}")
        body = {"entrypoint": entrypoint, "environment": environment, "working_dir": working_dir}
        with self._store.transaction():
            self._store.delete(_KIND, "", pattern)
            self._store.insert(_KIND, "", pattern, body)

    def unbind(self, pattern: str) -> bool:
        """Forget a binding; False when there was none."""
        return self._store.delete(_KIND, "", pattern)

    def bindings(self) -> list[dict[str, Any]]:
        """Every binding as it was put, oldest first."""
        return [{"pattern": record.name, **record.body} for record in self._store.list(_KIND)]

    def resolve(self, uri: str) -> Binding:
        """The binding of an image URI: an exact pattern first, then the latest pattern that matches.

        Raises:
            Unbound: nothing matches.
        """
        found = [record for record in self._store.list(_KIND) if fnmatch.fnmatchcase(uri, record.name)]
        if not found:
            known = ", ".join(record.name for record in self._store.list(_KIND)) or "none"
            raise Unbound(
                f"The image {uri} is not bound to a command on this machine. Bind it with"
                ' PUT /_local/images {"pattern": "…", "entrypoint": ["…"], "environment": {}, "working_dir": "/…"}.'
                f" Bound patterns: {known}."
            )
        record = next((record for record in found if record.name == uri), found[-1])
        body = record.body
        return Binding(tuple(body["entrypoint"]), dict(body["environment"]), Path(body["working_dir"]))
