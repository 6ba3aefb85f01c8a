"""One command that tries to break the project: ``python -m scripts.stress``. What it found so far: docs/trust.md."""
