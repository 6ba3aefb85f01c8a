"""The step ``fit``: the training loop of both stages."""
