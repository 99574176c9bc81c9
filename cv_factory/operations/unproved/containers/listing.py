"""In a processing job: which files of the input ``data`` has this host? Written to the output, by the host's name."""

import json
import os
from pathlib import Path

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
host = json.loads((base / "config" / "resourceconfig.json").read_text())["current_host"]
data = base / "processing" / "input" / "data"
names = sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())
target = base / "processing" / "output" / "out"
target.mkdir(parents=True, exist_ok=True)
(target / f"{host}.json").write_text(json.dumps(names))
