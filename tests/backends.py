"""The backends, all of which are tested."""

BACKENDS = ("cython", "numba", "reference")
