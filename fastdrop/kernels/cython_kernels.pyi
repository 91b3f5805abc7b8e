from numpy import ndarray

PHILOX_MULTIPLIERS: tuple[int, int]
PHILOX_INCREMENTS: tuple[int, int]
PHILOX_ROUNDS: int
DIGIT_BITS: int
ISAS: tuple[str, ...]
TEAM: int

def isa() -> str: ...
def team_name() -> str: ...
def apply(
    x: ndarray,
    out: ndarray,
    outer: int,
    shared: int,
    inner: int,
    key: int,
    stream: int,
    offset: int,
    threshold: int,
    a: float,
    b: float,
    c: float,
    threads: int,
) -> None: ...
def apply_at(
    x: int,
    out: int,
    itemsize: int,
    outer: int,
    shared: int,
    inner: int,
    key: int,
    stream: int,
    offset: int,
    threshold: int,
    a: float,
    b: float,
    c: float,
    threads: int,
) -> None: ...
def apply_turned(
    x: int,
    out: int,
    itemsize: int,
    outer: int,
    shared: int,
    inner: int,
    key: int,
    stream: int,
    offset: int,
    threshold: int,
    a: float,
    b: float,
    c: float,
    threads: int,
) -> None: ...
def apply_rates(
    x: ndarray,
    out: ndarray,
    outer: int,
    shared: int,
    inner: int,
    key: int,
    stream: int,
    offset: int,
    thresholds: ndarray,
    a: ndarray,
    b: ndarray,
    c: ndarray,
    threads: int,
) -> None: ...
def blend(
    x: ndarray,
    y: ndarray,
    out: ndarray,
    outer: int,
    shared: int,
    inner: int,
    key: int,
    stream: int,
    offset: int,
    threshold: int,
    threads: int,
) -> None: ...
def blend_rates(
    x: ndarray,
    y: ndarray,
    out: ndarray,
    outer: int,
    shared: int,
    inner: int,
    key: int,
    stream: int,
    offset: int,
    thresholds: ndarray,
    threads: int,
) -> None: ...
def keep(
    out: ndarray, key: int, stream: int, offset: int, threshold: int, threads: int
) -> None: ...
def keep_rates(
    out: ndarray, key: int, stream: int, offset: int, thresholds: ndarray, threads: int
) -> None: ...
def uniforms(out: ndarray, key: int, stream: int, offset: int, threads: int) -> None: ...
def normals(out: ndarray, key: int, stream: int, offset: int, threads: int) -> None: ...
def multiply_normals(
    x: ndarray,
    out: ndarray,
    outer: int,
    shared: int,
    inner: int,
    key: int,
    stream: int,
    offset: int,
    stddevs: ndarray,
    threads: int,
) -> None: ...
def scaled_copy(x: ndarray, out: ndarray, a: float, threads: int) -> None: ...
