"""Points: a double-entry ledger in integer millipoints, who pays for what, and how much."""
