"""The embedded film, drawn by code: canvas, cast, scenery, storyboard."""
