"""Scripts that measure; each prints JSON lines."""

import pipeline  # noqa: F401  before torch: see there
