"""Which tests may run beside each other when pytest runs in several processes (``--dist loadgroup``)."""

from __future__ import annotations

from pathlib import Path

import pytest

#: Files that share one apply of Terraform, and in their order the last of them takes it down.
SHARED = ("test_accounts.py", "test_operations.py", "test_policies.py", "test_terraform.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = Path(str(item.fspath))
        shared = path.parent.name == "terraform" and path.name in SHARED
        item.add_marker(pytest.mark.xdist_group("terraform" if shared else str(path)))
