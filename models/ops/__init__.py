"""Differentiable image operations that networks are built of, each with its paper."""
