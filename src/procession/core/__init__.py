"""The ground: pickling, the child's ``__main__``, processors, fork hooks. No policy, no processes."""
