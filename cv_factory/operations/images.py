"""``python -m cv_factory.operations.images --env ENV``: are both images of these sources in the registry?

What CI asks between applying the base and starting the pipeline. Exit code 0: both are there; 1: one is missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from contracts import settings, source
from contracts.errors import FactoryError
from cv_factory import session
from cv_factory.operations.pipeline import image_digest


def main(arguments: list[str] | None = None) -> int:
    """Print each image's tag and digest; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default=settings.DEFAULT_ENV)
    parser.add_argument("--file", default=settings.DEFAULT_FILE, type=Path)
    options = parser.parse_args(arguments)
    try:
        target = session.open(settings.load(options.file, options.env), options.file)
        for image in source.IMAGES:
            sys.stdout.write(f"{image} {source.source_tag(image)} {image_digest(target, image)}\n")
    except FactoryError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
