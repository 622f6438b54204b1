"""The data card: facts about the data set, checks with advice, charts, contact sheets, and the page."""
