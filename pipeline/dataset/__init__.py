"""What training reads: crops from folders or WebDataset shards, edge-smoothed copies, batches, evaluation sets."""
