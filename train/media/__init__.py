"""Pictures, videos and progress, as all steps need them."""
