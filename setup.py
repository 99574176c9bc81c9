"""Entry point for tools that look for setup.py; every piece of metadata is in pyproject.toml."""

from setuptools import setup

setup()
