"""The stages of the pipeline, one module each at the top, and the libraries they share, one folder each."""

import os

# Idle OpenMP threads of torch spin for milliseconds before they sleep, and so take time from NNPACK's threads
# (models/ops/convolution.py) and from other processes. This limits spinning to microseconds; it must be set before torch is
# imported. Values of GOMP_SPINCOUNT and OMP_WAIT_POLICY that the user has set are kept.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
