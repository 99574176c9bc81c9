"""Every command of the README and the pages runs, in order, and prints what the page says.

Pages that need a model go on where the README ends, in its folder; the rest have a folder of their own.
"""

from __future__ import annotations

from tests.docs.reader import Reader


def test_readme(reader: Reader) -> None:
    reader.follow("README.md")
