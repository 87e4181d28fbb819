"""Chat platforms, each a plugin; none imports another."""
