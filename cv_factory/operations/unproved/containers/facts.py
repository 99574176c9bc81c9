"""In a training job of our image: is what SageMaker gives a container there, and nothing that a toolkit would add?"""

import json
import os
import sys
from pathlib import Path

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
wrong = []
for name in ("hyperparameters", "inputdataconfig", "resourceconfig"):
    try:
        json.loads((base / "input" / "config" / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        wrong.append(f"{name}.json: {error}")
if not os.environ.get("TRAINING_JOB_NAME"):
    wrong.append("TRAINING_JOB_NAME is not set")
toolkit = sorted(name for name in os.environ if name.startswith("SM_"))
if toolkit:
    wrong.append(f"set by a toolkit: {', '.join(toolkit)}")
if wrong:
    (base / "output").mkdir(exist_ok=True)
    (base / "output" / "failure").write_text("; ".join(wrong))
    sys.exit(1)
