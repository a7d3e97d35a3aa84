"""Species of picks: from labels, and from density maps."""
