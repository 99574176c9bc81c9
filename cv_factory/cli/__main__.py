"""``python -m cv_factory.cli``."""

from cv_factory.cli import main

main()
