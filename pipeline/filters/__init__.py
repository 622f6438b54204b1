"""Image processing in NumPy and OpenCV that turns photographs into drawings, each with its paper."""
