"""What has to be reached: DESIGN's numbers, each in this one place.

A goal goes into a result's row: its name, and the least or the most that the
row's figure may be.
"""

from __future__ import annotations

from benchmarks import machine

LARGE, IN_CACHE = 2**20, 2**18

# Backend and instruction set: share of the copy for large n, and in the cache.
_SHARES = {
    ("cython", "avx512"): (0.9, 0.4),
    ("cython", "avx2"): (0.4, 0.4),
    ("numba", None): (0.4, 0.2),
}


def share(backend: str, n: int, isa: str | None = None) -> dict:
    """Share of the copy; nothing is asked of small arrays or of other processors."""
    isa = (isa or machine.isa()) if backend == "cython" else None
    if n < IN_CACHE or (backend, isa) not in _SHARES:
        return {}
    least = _SHARES[backend, isa][n < LARGE]
    where = "n >= 2^20" if n >= LARGE else "n = 2^18"
    name = " ".join(filter(None, (backend, isa)))
    return {"goal": f"{name}: share of the copy, {where}", "least": least}


def growth(backend: str) -> dict:
    """From 2^20 to 2^26 the share does not fall; 0.05 is what such a quotient is uncertain by."""
    return {"goal": f"{backend}: share at 2^26 over share at 2^20", "least": 0.95}


def times_faster(backend: str, package: str) -> dict:
    """Than a peer, element-wise at 2^20."""
    least = {"torch": 50, "numpy": 10}.get(package)
    if backend != "cython" or least is None:
        return {}
    return {"goal": f"{backend}: times as fast as {package}, element-wise forward", "least": least}


def beside_blas(backend: str, size: str) -> dict:
    return {"goal": f"{backend}: matmul and dropout in turn, {size}, over both alone", "most": 1.15}


def small_mask(backend: str) -> dict:
    return {"goal": f"{backend}: mask.apply(x) over x * m, 1,000 elements", "most": 6}


def small_call(backend: str) -> dict:
    return {"goal": f"{backend}: dropout over NumPy's idiom, 1,000 elements", "most": 1}


def import_time() -> dict:
    return {"goal": "import fastdrop over import numpy, ms", "most": 60}


def numba_imported() -> dict:
    return {"goal": "Numba is imported by import fastdrop (0 is no)", "most": 0}


def peak_memory(backend: str) -> dict:
    return {"goal": f"{backend}: peak memory beyond the outputs, MiB", "most": 4}


def standard_errors(backend: str) -> dict:
    return {"goal": f"{backend}: P(drop), standard errors away from the rate", "most": 4.5}


# Network, variant and peer: times as many training steps a second.
_STEPS = {
    ("MLP", "dropout", "PyTorch"): 1.75,
    ("MLP", "no dropout", "PyTorch"): 0.95,
    ("CNN", "dropout", "PyTorch"): 2.5,
    ("CNN", "dropout", "Keras"): 1.8,
}


def training_steps(network: str, optimizer: str, variant: str, peer: str) -> dict:
    """A peer with several ways to train has the goal for each, so for the quickest of them."""
    package = peer.partition(" ")[0]
    if (least := _STEPS.get((network, variant, package))) is None:
        return {}
    what = f"{network}, {optimizer}, {variant}"
    return {"goal": f"{what}: steps, times as fast as {package}", "least": least}


def dropout_tax(network: str, optimizer: str, library: str) -> dict:
    if library != "fastdrop":
        return {}
    name = f"{network}, {optimizer}: step with dropout over the step without"
    return {"goal": name, "most": 1.03}


def second_thread() -> dict:
    return {"goal": "CNN: training on two threads, times as fast as on one", "least": 1.7}


def two_processes(network: str) -> dict:
    if network != "CNN":
        return {}
    name = "CNN: two processes of one thread, times as fast as one of two"
    return {"goal": name, "least": 0.85}


def sums(network: str) -> dict:
    if network != "MLP":
        return {}
    return {"goal": "MLP: sum over two processes over the step", "most": 0.15}


def flat_fit() -> dict:
    return {"goal": "CNN: fit, dearest sample of three sizes over the cheapest", "most": 1.1}


def training_memory(what: str, peer: str) -> dict:
    if peer != "PyTorch":
        return {}
    return {"goal": f"CNN: {what}, over PyTorch's", "most": 1}


def training_growth(library: str) -> dict:
    if library != "fastdrop":
        return {}
    return {"goal": "CNN: growth from step 20 to step 200, MiB", "most": 1}


def streamed_speed(file: str) -> dict:
    return {"goal": f"MLP: fit on a file, {file}, times as fast as in memory", "least": 0.85}


def streamed_memory() -> dict:
    return {"goal": "MLP: fit on a file of 4 GiB, peak of the whole process, MiB", "most": 1024}


def kind_of_noise(name: str) -> dict:
    return {"goal": f"{name}: forward and backward, over plain dropout", "most": 1.3}


def gaussian() -> dict:
    return {"goal": "Gaussian dropout: times as fast as NumPy's idiom", "least": 5}


def monte_carlo(network: str) -> dict:
    return {"goal": f"{network}: predict_mc over the predictions it is made of", "most": 1}


def estimator_speed(case: str) -> dict:
    return {"goal": f"MLPClassifier, {case}: fit, times as fast as scikit-learn's", "least": 1.5}


def estimator_accuracy(case: str) -> dict:
    return {"goal": f"MLPClassifier, {case}: accuracy, points above scikit-learn's", "least": 0}


# What is timed in PyTorch, and its size: times as fast as with PyTorch's dropout.
_IN_TORCH = {
    ("forward", 2**20): 30,
    ("forward and backward", 2**20): 10,
    ("forward and backward", 2**12): 1.3,
    ("MLP, a step", 128): 1.5,
    ("CNN, a step", 128): 1.25,
}


def in_torch(what: str, size: int) -> dict:
    if what == "saved":
        return {"goal": "in PyTorch: bytes an element saved for backward", "most": 0}
    if (least := _IN_TORCH.get((what, size))) is None:
        return {}
    name = f"in PyTorch: {what}, {size}, times as fast as with nn.Dropout"
    return {"goal": name, "least": least}


def met(row: dict) -> bool | None:
    """Whether a row reaches its goal; None where it has none."""
    if "least" in row:
        return row["figure"] >= row["least"]
    return row["figure"] <= row["most"] if "most" in row else None
