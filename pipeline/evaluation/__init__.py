"""Evaluation of a generator on validation photos: numbers, pictures, advice and a page."""
