"""Films through a stylizer: segments, deflicker, remux."""
