"""The tests."""

import pipeline  # noqa: F401  before torch: see there
