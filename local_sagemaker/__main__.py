"""``python -m local_sagemaker``: the server in the foreground."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from local_sagemaker import runtimes, server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local_sagemaker", description="An embedded SageMaker on loopback.")
    parser.add_argument("--state-dir", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--account-id", required=True, help="12 digits: the account to serve")
    parser.add_argument("--region", required=True, help="the default region")
    parser.add_argument("--port", type=int, default=0, help="0 (the default): a free one")
    parser.add_argument("--parallel-jobs", type=int, default=2, help="jobs that run at a time")
    parser.add_argument("--runtime", choices=runtimes.NAMES, default=runtimes.PROCESS, help="where containers run")
    parser.add_argument("--missing-image", default="", help="said where the Docker engine lacks an image")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        server.serve(
            arguments.state_dir.absolute(),
            arguments.account_id,
            arguments.region,
            arguments.port,
            arguments.parallel_jobs,
            arguments.runtime,
            arguments.missing_image,
        )
    except server.CannotServe as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
