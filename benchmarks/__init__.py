"""What fastdrop costs, beside what it could cost and beside other libraries.

``pytest benchmarks`` times a table of cases with pytest-benchmark, to be saved
and compared from one version to the next; ``python -m benchmarks`` asks the
questions of the README and prints ratios.
"""
