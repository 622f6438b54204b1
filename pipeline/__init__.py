"""The stages of the pipeline, one module a stage, and the few things they share. Nothing here imports the web page."""

import os

# Between two pieces of work torch's threads wait by turning round, for milliseconds: time that whoever else has work does
# not get, NNPACK's threads (models/ops/convolution.py) and a second process above all. This many turns are some microseconds. It
# has to be said before torch is loaded; GOMP_SPINCOUNT or OMP_WAIT_POLICY set by the user hold.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
