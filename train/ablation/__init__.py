"""The step ``ablate``: the arms of the paper's ablations."""
