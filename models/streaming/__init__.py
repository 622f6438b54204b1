"""A generator run over strips of rows, in bounded memory, as if on the whole picture."""
