"""The stages of the pipeline, one module a stage, and the few things they share. Nothing here imports the web page."""
