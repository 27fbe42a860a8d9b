"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes says nothing on a shared machine; speed is for tests/bench.
settings.register_profile("podarium", deadline=None)
settings.load_profile("podarium")
