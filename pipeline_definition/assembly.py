"""Settings -> definition: the SDK's own content, written as canonical JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from contracts import jsonio, source
from contracts.errors import ContractError, UsageError
from pipeline_definition import sdk

if TYPE_CHECKING:
    from contracts.settings import Settings

#: CreatePipeline, PipelineDefinition.
MAX_CHARACTERS = 1_048_576


def build(settings: Settings, *, source_hash: str | None = None) -> str:
    """See :func:`pipeline_definition.build`."""
    identity = source_hash or source.source_hash("training")
    with sdk.sealed(settings.aws.region):
        try:
            from pipeline_definition import graph
            from pipeline_definition.context import Context
        except ModuleNotFoundError as error:
            raise UsageError(
                f"the SageMaker SDK cannot be imported: {error}", "It is an extra: pip install -e '.[pipeline]'."
            ) from None
        with sdk.recording(settings) as session:
            text = graph.main_pipeline(Context(settings, session, identity)).definition()
    canonical = jsonio.canonical(json.loads(text))
    if len(canonical) > MAX_CHARACTERS:
        raise ContractError(f"the definition has {len(canonical)} characters; SageMaker takes {MAX_CHARACTERS}")
    return canonical
