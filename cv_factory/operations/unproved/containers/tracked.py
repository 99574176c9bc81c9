"""In a training job with MLFLOW_TRACKING_URI: log a run to the tracking server and read it back."""

import os
import sys
from pathlib import Path

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
try:
    import mlflow

    mlflow.set_experiment("unproved")
    with mlflow.start_run() as run:
        mlflow.log_metric("answer", 42.0)
    found = mlflow.get_run(run.info.run_id).data.metrics
    if found.get("answer") != 42.0:
        raise RuntimeError(f"the run was read back with {found}")
except Exception as error:
    (base / "output").mkdir(exist_ok=True)
    (base / "output" / "failure").write_text(f"{type(error).__name__}: {error}"[:1000])
    sys.exit(1)
