"""The data card: facts of the data set, checks with advice, charts, page."""
