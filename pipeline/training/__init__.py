"""Training: the trainer, the GAN step, loss terms, checkpoints, schedules, metric log, diagnostics."""
