"""Settings of the shipped file's environment ``dev`` with some values changed."""

from __future__ import annotations

from typing import Any

from contracts import settings
from contracts.settings import Settings
from tests.pipeline_definition.update_golden import FACTORY


def changed(*, env: str = "dev", **sections: dict[str, Any]) -> Settings:
    """``changed(training={"spot": True})``: merged as an environment's settings are; the model checks them."""
    values = settings.load(FACTORY, "dev").model_dump()
    values["env"] = env
    for section, content in sections.items():
        values[section] = {**values[section], **content}
    return Settings.model_validate(values)
