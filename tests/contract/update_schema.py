"""Writes ``factory.schema.json`` again, after a change of the settings: ``python tests/contract/update_schema.py``."""

from __future__ import annotations

from contracts import jsonio, settings, source

if __name__ == "__main__":
    target = source.root() / "factory.schema.json"
    jsonio.write_bytes(target, jsonio.pretty(settings.json_schema()).encode())
    print(f"written: {target}")
