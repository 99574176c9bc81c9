"""In a training job with EnableNetworkIsolation: no credentials, and nothing answers outside the container."""

import os
import socket
import sys
from pathlib import Path

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
# AWS_CONTAINER_CREDENTIALS_RELATIVE_URI may be set: it is of use only if 169.254.170.2 answers.
wrong = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN") if os.environ.get(name)]
region = os.environ.get("AWS_REGION", "us-east-1")
for host, port in ((f"s3.{region}.amazonaws.com", 443), ("169.254.170.2", 80), ("169.254.169.254", 80)):
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        continue
    wrong.append(f"{host}:{port} answers")
if wrong:
    (base / "output").mkdir(exist_ok=True)
    (base / "output" / "failure").write_text("; ".join(wrong))
    sys.exit(1)
