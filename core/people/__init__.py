"""People and their handles."""
