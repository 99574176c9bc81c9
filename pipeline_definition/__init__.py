"""Settings -> the definition of the SageMaker pipeline. The only room that imports the SageMaker SDK.

:func:`build` is pure: no network, no credentials, nothing of the caller's AWS configuration; equal settings and equal
training sources give equal bytes on any machine and day. Importing this package is cheap: the SDK (seconds) comes in
with the first :func:`build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_definition.parameters import Declared, declared, start_parameters

if TYPE_CHECKING:
    from contracts.settings import Settings

__all__ = ["Declared", "build", "declared", "start_parameters"]


def build(settings: Settings, *, source_hash: str | None = None) -> str:
    """The main pipeline's definition as canonical JSON (sorted keys, no white space).

    Args:
        settings: of one environment.
        source_hash: of the training image's sources; by default of the sources of this checkout. It is all that the
            definition takes from anywhere but ``settings``.

    Raises:
        ContractError: a file that the training image needs is missing.
        UsageError: the SageMaker SDK is not installed.
    """
    from pipeline_definition.assembly import build as assemble

    return assemble(settings, source_hash=source_hash)
