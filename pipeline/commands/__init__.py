"""`genga` verbs that are no stage."""
