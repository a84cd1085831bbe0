"""The configuration: its schema, its files, and the one place that reads them."""
