"""Training of weights for vsapisr; run from a checkout as ``python -m train STEP``."""
