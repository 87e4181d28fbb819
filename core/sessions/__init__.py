"""What the gateway remembers of a person between messages."""
