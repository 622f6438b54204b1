"""What training reads: the loader, WebDataset shards, paired pictures, evaluation sets."""
