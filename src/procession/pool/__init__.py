"""Pools: workers that are kept, and the tasks that they do."""
