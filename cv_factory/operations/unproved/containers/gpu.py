"""In a training job on a GPU: does PyTorch find it, and multiply on it?"""

import os
import sys
from pathlib import Path

import torch

base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
if not torch.cuda.is_available():
    (base / "output").mkdir(exist_ok=True)
    (base / "output" / "failure").write_text(f"torch {torch.__version__} finds no GPU")
    sys.exit(1)
square = torch.ones(256, 256, device="cuda")
if float((square @ square).sum()) != 256.0**3:
    sys.exit("the product on the GPU is wrong")
print(torch.cuda.get_device_name(0))
