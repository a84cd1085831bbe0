"""One adapter a wire format: the provider's SDK on one side, chunks and our errors on the other."""
