"""Forks, threads, signals, layers, memory: what a process may go through with the package.

Each in a process of its own with a time limit. The programs compare what they get
with the reference backend, or with what they got before.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest
from processes import run_code

import fastdrop

COMPILED = ("cython", "numba")

# Arrays that take all the threads, the recipe of a mask, and its right result.
START = """
import os, signal, sys, threading, time
import numpy as np
import fastdrop
x = np.random.default_rng(0).standard_normal(1 << 20).astype("f")
mask = fastdrop.Mask(x.shape, 0.4, key=1, stream=2, offset=2**35 - 1000)
with fastdrop.use_backend("reference"):
    expected = mask.apply(x)

def check():
    assert np.array_equal(mask.apply(x), expected)

def at_once(*functions):
    failures = []
    def run(function):
        try:
            function()
        except BaseException as error:
            failures.append(error)
    threads = [threading.Thread(target=run, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
"""

each_backend = pytest.mark.parametrize("name", COMPILED)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def live(code, name, *, timeout=120, **environment):
    """Run a program on a backend and see it come to its end."""
    environment.setdefault("FASTDROP_BACKEND", name)
    said = run_code(START + code + "\nprint('done')", timeout=timeout, **environment)
    assert said.splitlines()[-1] == "done"
    return said.splitlines()[:-1]


CHILD = """
def child():
    check()
    assert fastdrop.get_num_threads() == 1
    fastdrop.set_num_threads(1)
    fastdrop.dropout(x, 0.5, rng=0, shared_axes=0)

def fork(function):
    pid = os.fork()
    if not pid:
        try:
            function()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


@needs_fork
@each_backend
@pytest.mark.parametrize("before", ["check()", "pass", "at_once(check, check)"])
def test_fork(name, before):
    """After use by one thread, before any, and after use by several; a grandchild too."""
    code = f"""
{before}
fork(child)
fork(lambda: fork(child))
check()
fork(child)
"""
    live(CHILD + code, name)


WHILE_BUSY = """
check()
stop = threading.Event()
def busy():
    while not stop.is_set():
        mask.apply(x)
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
try:
    for _ in range(30):
        fork(function)
        fork(lambda: fork(function))
finally:
    stop.set()
for thread in threads:
    thread.join()
check()
"""


@needs_fork
@each_backend
def test_fork_while_another_thread_computes(name):
    """Whatever lock that thread holds at the moment, the child finishes."""
    live(CHILD + "function = child" + WHILE_BUSY, name)


@needs_fork
def test_kernels_after_a_fork():
    """The Cython kernels wait for no worker in a child, even when asked for two threads."""
    code = """
def function():
    for _ in range(3):
        out = np.empty(x.size, bool)
        fastdrop.kernels.active().keep(out, 1, 2, 2**35 - 1000, round(0.4 * 2**32), 2)
        assert np.array_equal(out, mask.keep())
function()
"""
    live(CHILD + code + WHILE_BUSY, "cython", timeout=60)


@needs_fork
@each_backend
def test_multiprocessing_fork(name):
    code = """
import multiprocessing
check()
context = multiprocessing.get_context("fork")
with context.Pool(3) as pool:
    for result in pool.map(mask.apply, [x] * 4):
        assert np.array_equal(result, expected)
check()
"""
    live(code, name)


@each_backend
def test_multiprocessing_spawn(name):
    code = """
import multiprocessing
check()
with multiprocessing.get_context("spawn").Pool(2) as pool:
    for result in pool.map(mask.apply, [x] * 3):
        assert np.array_equal(result, expected)
"""
    live(code, name)


THREADS = """
stream = fastdrop.MaskStream(7)
masks = [fastdrop.Mask(x.shape, 0.3, key=9, stream=k) for k in range(count)]
results, numbers = {}, []
def work(k):
    for _ in range(5):
        results[k] = masks[k].apply(x)
        y, mask = fastdrop.dropout(x[:50_000], 0.5, rng=stream, return_mask=True)
        assert np.array_equal(y, mask.apply(x[:50_000]))
        numbers.append(mask.stream)
"""


LAYERS = (None, "workqueue", "omp", "tbb")


@pytest.mark.parametrize("count", [2, 16])
@pytest.mark.parametrize(
    ("name", "layer"), [("cython", None), *(("numba", layer) for layer in LAYERS)]
)
def test_python_threads(name, count, layer):
    """At once, on recipes of their own and on one stream, whatever Numba's layer is."""
    code = f"""
count = {count}
{THREADS}
at_once(*(lambda k=k: work(k) for k in range(count)))
for k in range(count):
    assert np.array_equal(results[k], masks[k].apply(x))
assert sorted(numbers) == list(range(5 * count))
check()
"""
    live(code, name, **({"NUMBA_THREADING_LAYER": layer} if layer else {}))


@each_backend
def test_thread_pool(name):
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    for result in pool.map(mask.apply, [x] * 12):
        assert np.array_equal(result, expected)
"""
    live(code, name)


@pytest.mark.parametrize(
    ("name", "layer", "first"),
    [
        *(("cython", None, True), ("cython", None, False), ("cython", "omp", True)),
        *(("numba", None, True), ("numba", None, False), ("numba", "workqueue", True)),
        *(("numba", "omp", False), ("numba", "tbb", True)),
    ],
)
def test_inside_a_numba_program(name, layer, first):
    """A user's prange, `first` or not, in turn with ours and at the same time."""
    code = """
import numba
@numba.njit(parallel=True)
def total(x):
    result = 0.0
    for k in numba.prange(x.size):
        result += x[k]
    return result
if FIRST:
    assert total(np.ones(1000)) == 1000
ones = np.ones(1 << 16)
for _ in range(100):
    assert total(ones) == ones.size
    y = fastdrop.dropout(x, 0.5, rng=0)
check()
def user():
    for _ in range(200):
        assert total(ones) == ones.size
def ours():
    for _ in range(20):
        check()
at_once(user, ours)
"""
    layers = {"NUMBA_THREADING_LAYER": layer} if layer else {}
    if layer == "tbb":
        # Where the user's program finds it; ours does not depend on that.
        layers["LD_LIBRARY_PATH"] = str(Path(sys.prefix, "lib"))
    live(code.replace("FIRST", str(first)), name, **layers)


# Root passes over permissions as long as it has this capability (CAP_DAC_OVERRIDE).
OBEY_PERMISSIONS = """
import ctypes, os
if os.getuid() == 0:
    libc = ctypes.CDLL(None)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    sets[0] &= ~2
    sets[1] &= ~2
    assert libc.capset(header, sets) == 0
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of another kind")
@pytest.mark.parametrize("what", ["folders", "package"])
@each_backend
def test_no_place_for_a_cache(name, what, tmp_path):
    """An install that cannot be written to, by a user who has no home either."""
    package = tmp_path / "fastdrop"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(fastdrop.__file__).parent, package, ignore=ignored)
    folders = [package, *(path for path in package.rglob("*") if path.is_dir())]
    code = f"""
assert fastdrop.__file__.startswith({str(tmp_path)!r})
check()
fastdrop.gaussian_dropout(x, 0.5)
"""
    if what == "folders":
        for folder in folders:
            (folder / "__pycache__").write_text("where the folder should be")
    else:
        code = f"assert not os.access({str(package)!r}, os.W_OK)" + code
        for folder in folders:
            folder.chmod(0o555)
    code = OBEY_PERMISSIONS + START + code + "print('done')"
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    try:
        assert run_code(code, root=tmp_path, FASTDROP_BACKEND=name, **nowhere) == "done"
    finally:
        for folder in folders:
            folder.chmod(0o755)


@each_backend
def test_subnormals_survive(name):
    """In kernels, in NumPy after them, and in threads started before and after."""
    code = """
tiny = np.full(1 << 20, 1e-40, "f")
def alive():
    assert (np.full(1000, 1e-40, "f") * np.float32(0.5) != 0).all()
    assert np.float64(5e-324) * 1.0 != 0
def kernels():
    for kind, least in (("f", 1e-45), ("d", 5e-324)):
        small = np.full(1 << 20, least, kind)
        for each in (fastdrop.Mask, fastdrop.AlphaMask):
            recipe = each(small.shape, 0.25, key=1)
            y = recipe.apply(small)
            assert (y[recipe.keep()] != 0).all()
        y = fastdrop.GaussianMask(tiny.shape, 0.01, key=1).apply(tiny)
        assert (y != 0).all()
ready, go = threading.Event(), threading.Event()
def early():
    ready.set()
    go.wait()
    alive()
    kernels()
thread = threading.Thread(target=early)
thread.start()
ready.wait()
kernels()
alive()
go.set()
thread.join()
at_once(alive, kernels, alive)
"""
    live(code, name)


@each_backend
def test_keyboard_interrupt(name):
    """An interrupt comes through, between calls, and what was in use goes on."""
    code = """
stream = fastdrop.MaskStream(3)
big = np.ones(1 << 23, "f")
out = np.empty_like(big)
check()
def shoot():
    for _ in range(10):
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.3)
shooter = threading.Thread(target=shoot)
caught = 0
shooter.start()
while True:
    try:
        while shooter.is_alive():
            fastdrop.dropout(big, 0.5, rng=stream, out=out)
        break
    except KeyboardInterrupt:
        caught += 1
assert caught > 2, caught
number = stream.state_dict()["next"]
y, last = fastdrop.dropout(big, 0.5, rng=stream, out=out, return_mask=True)
assert last.stream == number
assert np.array_equal(y != 0, last.keep())
check()
"""
    live(code, name)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak to be read here")
@each_backend
@pytest.mark.parametrize("shared_axes", [(), 0, 1])
def test_memory_of_forward_and_backward(name, shared_axes):
    """Over 256 MiB: the outputs and at most 4 MiB more, at the peak."""
    code = f"""
def peak():
    # Not ru_maxrss, which begins with the peak of the process that started this one.
    with open("/proc/self/status") as status:
        lines = status.read().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
check()
big = np.ones((1 << 13, 1 << 13), "f")
def run(array):
    y, mask = fastdrop.dropout(
        array, 0.4, rng=1, shared_axes={shared_axes}, return_mask=True
    )
    return y, mask.apply(array)
run(big[:200])  # compiled, and the threads are there
before = peak()
results = run(big)
more = peak() - before - sum(result.nbytes for result in results)
assert more <= 4 << 20, more
assert more > -(8 << 20), more
assert np.array_equal(*results)
# In place, nothing at all.
before = peak()
y, mask = fastdrop.dropout(big, 0.4, rng=1, out=big, return_mask=True)
mask.apply(big, big)
assert peak() - before <= 4 << 20
"""
    live(code, name)


@each_backend
def test_a_program_that_ends_while_threads_compute(name):
    """Daemon threads inside kernels do not keep the interpreter from its end."""
    code = """
check()
def busy():
    while True:
        mask.apply(x)
for _ in range(3):
    threading.Thread(target=busy, daemon=True).start()
time.sleep(0.2)
"""
    live(code, name)


@each_backend
def test_limits_are_obeyed_by_kernels(name):
    """With one thread allowed, a call burns no more than one processor."""
    code = """
import threadpoolctl
big = np.ones(1 << 24, "f")
out = np.empty_like(big)
recipe = fastdrop.Mask(big.shape, 0.4, key=1)
recipe.apply(big, out)
time.sleep(0.2)  # whatever spins has stopped by now
with threadpoolctl.threadpool_limits(1):
    clock, used = time.perf_counter(), time.process_time()
    for _ in range(10):
        recipe.apply(big, out)
    clock, used = time.perf_counter() - clock, time.process_time() - used
assert used <= 1.3 * clock + 0.02, (used, clock)
assert fastdrop.get_num_threads() >= 1
"""
    live(code, name)


def test_fork_while_a_thread_uses_the_stream():
    code = """
import os, signal, sys, threading
import fastdrop
sys.setswitchinterval(1e-6)
stream = fastdrop.MaskStream(0)
def use():
    while True:
        stream.state_dict()
threading.Thread(target=use, daemon=True).start()
for _ in range(30):
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        stream.next()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("ok", flush=True)
os._exit(0)
"""
    assert run_code(code, timeout=60) == "ok"


@pytest.mark.parametrize(
    ("name", "value"),
    [("FASTDROP_NUM_THREADS", "0"), ("FASTDROP_BACKEND", "fortran"), ("FASTDROP_ISA", "mmx")],
)
def test_a_bad_setting_takes_no_stream_number(name, value):
    code = """
import numpy as np
import fastdrop
stream = fastdrop.MaskStream(0)
try:
    fastdrop.dropout(np.ones(1 << 19, np.float32), 0.5, rng=stream)
except ValueError as error:
    print(stream.state_dict()["next"], error)
"""
    said = run_code(code, **{name: value})
    assert said.startswith(f"0 {name}")
