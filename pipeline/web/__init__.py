"""Pages that open in a browser: templates, styles, scripts."""
