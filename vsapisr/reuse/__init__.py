"""What is the same in several frames is computed once: docs/reuse.md."""
