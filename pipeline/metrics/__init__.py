"""How drawn a picture looks and how much of the photo it keeps: style score, content similarity, pixel measures."""
