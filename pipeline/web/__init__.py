"""HTML pages: Jinja2 templates, one stylesheet, scripts, and charts in the same colors."""
