"""``factory.yaml``: read as YAML 1.2, merged with the defaults, checked, and turned into typed settings.

The order is ``contracts/defaults.yaml``, then ``factory.yaml``, then its ``environments.<env>``: key by key, one level
deep, because HCL's ``merge()`` is shallow and Terraform reads the same files.
"""

from contracts.settings.model import (
    Aws,
    Data,
    Existing,
    Gate,
    Github,
    Network,
    Operations,
    Release,
    Serving,
    Settings,
    Tracking,
    Training,
)
from contracts.settings.reader import DEFAULT_ENV, DEFAULT_FILE, DEFAULTS, environments, load
from contracts.settings.rules import FORBIDDEN_PAIRS
from contracts.settings.schema import json_schema

__all__ = [
    "DEFAULTS",
    "DEFAULT_ENV",
    "DEFAULT_FILE",
    "FORBIDDEN_PAIRS",
    "Aws",
    "Data",
    "Existing",
    "Gate",
    "Github",
    "Network",
    "Operations",
    "Release",
    "Serving",
    "Settings",
    "Tracking",
    "Training",
    "environments",
    "json_schema",
    "load",
]
