"""A generator's forward pass run over a few rows at a time, in bounded memory, with the result of the whole picture."""
