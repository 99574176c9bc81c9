"""Where the AWS provider lies on machines that do not ask Terraform's registry for it."""

from __future__ import annotations

import os
from pathlib import Path

from cv_factory.operations import infra


def find_mirror() -> str | None:
    """A folder with the AWS provider: the variable, or one that this machine has; None: Terraform asks the registry."""
    named = os.environ.get(infra.MIRROR_VARIABLE)
    if named:
        return named
    for root in (Path("/opt"), Path("/usr/share/terraform"), Path("/usr/local/share/terraform")):
        for found in root.glob("*/registry.terraform.io/hashicorp/aws") if root.is_dir() else ():
            return str(found.parent.parent.parent)
    return None
