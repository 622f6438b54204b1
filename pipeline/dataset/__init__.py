"""What training reads: crops from folders or WebDataset shards, the pictures paired with them, batches, evaluation sets."""
