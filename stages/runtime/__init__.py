"""The modules that every script needs. Import `runtime` before numpy and torch (ruff sorts it first)."""

import runtime.arithmetic  # noqa: F401  # sets environment variables before numpy and torch
