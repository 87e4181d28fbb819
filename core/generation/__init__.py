"""Orders, jobs, attempts and the dispatcher that runs them on backends."""
