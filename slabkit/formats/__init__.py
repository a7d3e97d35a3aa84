"""Files: the only place that knows what other programs write and read."""
