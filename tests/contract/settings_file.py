"""A good ``factory.yaml``, and what is said of one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts import settings
from contracts.errors import SettingsError

GOOD = """\
name: cv-factory
aws:
  region: ap-southeast-1
  account_id: "111122223333"
training:
  spot: false
gate:
  min: {balanced_accuracy: 0.7}
release:
  approval: manual
network:
  isolated: []
environments:
  dev: {release: {approval: automatic}}
  prod:
    aws: {account_id: "444455556666"}
"""


def refused(file: Path, text: str, env: str = "local") -> SettingsError:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        settings.load(file, env)
    assert caught.value.exit_code == 2
    return caught.value
