"""The network in its forms: ``grl`` is readable and trained, ``grl_inference`` is made from it and fast."""
