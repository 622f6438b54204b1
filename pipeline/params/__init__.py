"""params.yaml: one strict model per section, and the whole that is checked at once."""
