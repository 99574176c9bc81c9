"""In a processing job: write the file that the first argument names, with the text of the second, to the output."""

import os
import sys
from pathlib import Path

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
target = base / "processing" / "output" / "out"
target.mkdir(parents=True, exist_ok=True)
(target / sys.argv[1]).write_text(sys.argv[2])
