"""The stages of the pipeline, one module each at the top, and the libraries they share, one folder each."""

import os
import sys
from pathlib import Path

# Idle OpenMP threads of torch spin for milliseconds before they sleep, and so take time from NNPACK's threads
# (models/ops/convolution.py) and from other processes. This limits spinning to microseconds; it must be set before torch is
# imported. Values of GOMP_SPINCOUNT and OMP_WAIT_POLICY that the user has set are kept.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# ONNX Runtime from 1.29 on reports names and hashes of models to its maker, and keeps the reports on disk. It reads this once,
# when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if sys.argv[:1] == ["-m"] and "-m" in sys.orig_argv:  # `python -m pipeline.X` is looking for X
    _folder = Path(__file__).parent
    _name = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    _file = _folder.parent.joinpath(*_name.split(".")).with_suffix(".py")
    if _name.startswith("pipeline") and not (_file.is_file() and "__main__" in _file.read_text("utf-8")):
        _stages = ", ".join(sorted(path.stem for path in _folder.glob("*.py") if path.stem not in ("__init__", "cli")))
        sys.exit(
            f"{_name} is no stage: run python -m pipeline.STAGE, where STAGE is one of {_stages}; or dvc repro, or genga -h"
        )
