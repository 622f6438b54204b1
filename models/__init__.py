"""Networks and losses in plain torch: no paths, parameters, logging or downloads, and nothing from `pipeline`."""
