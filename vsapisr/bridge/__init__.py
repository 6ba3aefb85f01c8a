"""Between VapourSynth and Python: the plugin in C, and ``node``, which it calls. Importing this imports neither torch
nor numpy.
"""
