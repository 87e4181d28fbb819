"""The public kit for plugin authors: fakes, a clock to turn, conformance suites."""
