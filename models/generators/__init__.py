"""Photo-to-anime generators, a module a family, and the table of named sizes."""
