"""Commands: options, parsing, forms, the registry, routing and gates."""
