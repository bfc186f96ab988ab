"""What every script needs. Import this room before numpy and torch: ruff's order of imports sees to it."""

import runtime.arithmetic  # noqa: F401  # sets environment variables before numpy and torch
