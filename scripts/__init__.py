"""Programs run from a checkout: demo, clip generator, bootstrap. Not part of the installed package."""
