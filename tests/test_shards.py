"""Folders of .npy files as one array, and pages of maps that are given back."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from fastdrop.data import Shards, release


def write(folder, parts, name="part-{}.npy"):
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        np.save(folder / name.format(number), part)
    return folder


@pytest.fixture
def parts():
    """Rows of 2 by 3 in files of 0 to 12 rows, some of them in Fortran's order."""
    rng = np.random.default_rng(0)
    counts = [5, 0, 1, 12, 0, 0, 7, 3, 1, 1, 4, 0]
    arrays = [rng.random((count, 2, 3)).astype(np.float32) for count in counts]
    return [np.asfortranarray(part) if place % 3 else part for place, part in enumerate(arrays)]


def test_every_slice_is_that_of_the_whole(parts, tmp_path):
    whole = np.concatenate(parts)
    for path in (write(tmp_path / "shards", parts), str(tmp_path / "shards")):
        shards = Shards(path)
        assert (shards.shape, shards.dtype, len(shards)) == (whole.shape, whole.dtype, 34)
        for begin in (None, *range(-36, 37)):
            for end in (None, *range(-36, 37, 7)):
                found = shards[begin:end]
                assert found.dtype == whole.dtype
                assert np.array_equal(found, whole[begin:end])
    assert repr(shards) == f"Shards({str(path)!r}, shape=(34, 2, 3), dtype=float32)"


def test_names_are_in_the_order_of_their_numbers(tmp_path):
    names = ["a-2.npy", "a-10.npy", "a-010b.npy", "b.npy", "b1.npy", "10.npy", "9.npy", "é.npy"]
    for number, name in enumerate(names):
        np.save(tmp_path / name, np.array([number]))
    (tmp_path / "notes.txt").write_text("no shard")
    found = [names[number] for number in Shards(tmp_path)[:]]
    assert found == [
        "9.npy", "10.npy", "a-2.npy", "a-10.npy", "a-010b.npy", "b.npy", "b1.npy", "é.npy",
    ]  # fmt: skip


def test_one_file_and_what_is_read_is_of_the_reader(tmp_path):
    x = np.arange(12).reshape(6, 2).astype(">i4")
    np.save(tmp_path / "x.npy", x)
    shards = Shards(tmp_path / "x.npy")
    assert shards.dtype == x.dtype
    part = shards[1:3]
    part[:] = 0
    assert np.array_equal(shards[:], x)


def test_more_files_than_a_process_may_open(tmp_path):
    resource = pytest.importorskip("resource")
    shards = Shards(write(tmp_path / "many", np.arange(100).reshape(100, 1)))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (len(list(Path("/dev/fd").iterdir())) + 20, before[1])
    )
    try:
        assert np.array_equal(shards[:], np.arange(100))
        assert len(Shards(tmp_path / "many")) == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.zeros((3, 3)), r"rows of shape \(2,\) and float64, as 'part-0.npy' does, got \(3,\)"),
        (np.zeros((3, 2), np.float32), r"float64, as 'part-0.npy' does, got \(2,\) and float32"),
        (np.zeros(3), r"got \(\) and float64"),
        (np.zeros(()), "'.*part-1.npy' must hold rows, got one number"),
        (np.array([None]), r"'.*part-1.npy' cannot be read as .npy \("),
    ],
)
def test_files_that_do_not_fit_each_other(second, message, tmp_path):
    with pytest.raises(ValueError, match=rf"^Shards: .*{message}"):
        Shards(write(tmp_path / "parts", [np.zeros((3, 2)), second]))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"text" * 50])
def test_files_that_are_no_arrays(content, tmp_path):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"^Shards: '.*x.npy' cannot be read as .npy \("):
        Shards(tmp_path)


def test_a_file_that_changes_under_way(tmp_path):
    folder = write(tmp_path / "parts", [np.zeros((3, 2)), np.ones((9, 2))])
    shards = Shards(folder)
    file = folder / "part-1.npy"
    for other in (np.ones((8, 2)), np.ones((9, 2), np.float32), np.ones((9, 2, 1))):
        np.save(file, other)
        assert np.array_equal(shards[:3], np.zeros((3, 2)))
        with pytest.raises(ValueError, match=r"^Shards: '.*part-1.npy' is not what it was$"):
            shards[2:5]
    np.save(file, np.ones((9, 2)))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"^Shards: '.*part-1.npy' cannot be read"):
        shards[2:5]
    file.unlink()
    with pytest.raises(ValueError, match=r"^Shards: '.*part-1.npy' cannot be read .*No such file"):
        shards[2:5]


def test_bad_arguments(tmp_path):
    with pytest.raises(TypeError, match=r"^Shards: path must be a path, got int"):
        Shards(3)
    with pytest.raises(FileNotFoundError, match=r"^Shards: '.*nowhere' is not there"):
        Shards(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"must be or hold \.npy files, got none"):
        Shards(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"must be or hold \.npy files, got none"):
        Shards(tmp_path / "x.npz")
    shards = Shards(write(tmp_path / "parts", [np.zeros((3, 2))]))
    for rows in (0, np.arange(2), slice(None, None, 2), slice(None, None, -1), ...):
        with pytest.raises(TypeError, match=r"^Shards: rows must be a slice in step 1, got"):
            shards[rows]


# Pages


def resident(array):
    """KiB of a map's pages that are in this process."""
    first, lines = array.ctypes.data, Path("/proc/self/smaps").read_text().splitlines()
    for place, line in enumerate(lines):
        begin, _, rest = line.partition("-")
        try:
            inside = int(begin, 16) <= first < int(rest.split()[0], 16)
        except ValueError:
            continue
        if inside:
            sizes = (line for line in lines[place:] if line.startswith("Rss:"))
            return int(next(sizes).split()[1])
    raise AssertionError("no such map")


needs_smaps = pytest.mark.skipif(
    not Path("/proc/self/smaps").exists() or not hasattr(mmap, "MADV_DONTNEED"),
    reason="the kernel does not tell",
)


@needs_smaps
@pytest.mark.parametrize("mode", ["r", "r+", "w+"])
def test_pages_are_given_back_and_hold_what_they_held(mode, tmp_path):
    numbers = np.arange(2**20).reshape(1024, 1024)
    numbers.tofile(tmp_path / "x")
    x = np.memmap(tmp_path / "x", numbers.dtype, mode, shape=numbers.shape)
    if mode != "r":
        x[:] = numbers + 1
    total = int(x.sum())
    assert resident(x) > 8000
    release(x[512:])
    assert 3000 < resident(x) < 5000
    release(x[:512, ::2])
    assert resident(x) < 100
    assert int(x.sum()) == total
    release(x.T[:, ::-1])
    assert resident(x) < 100
    assert np.array_equal(x, numbers + (mode != "r"))
    x.flush()
    assert np.array_equal(np.fromfile(tmp_path / "x", x.dtype).reshape(x.shape), x)


@needs_smaps
def test_nothing_is_left_of_what_is_mapped_around(tmp_path):
    """A system maps some pages before and behind one that is read."""
    np.zeros(2**21).tofile(tmp_path / "x")
    x = np.memmap(tmp_path / "x", float, "r")
    for start in range(0, len(x), 2**17):
        part = x[start + 7000 : start + 14000]
        part.sum()
        release(part)
    assert resident(x) == 0


def test_maps_that_begin_amid_a_page(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(5000))
    x = np.load(tmp_path / "x.npy", mmap_mode="r+")
    for begin, end in ((0, 5000), (0, 1), (4999, 5000), (7, 7), (511, 513)):
        x[begin:end] += 1
        release(x[begin:end])
    expected = np.arange(5000) + 1
    for place in (0, 4999, 511, 512):
        expected[place] += 1
    assert np.array_equal(x, expected)


def test_nothing_is_lost_of_what_is_no_shared_map(tmp_path):
    np.arange(5000).tofile(tmp_path / "x")
    private = np.memmap(tmp_path / "x", int, "c")
    private += 1
    copied, plain = private.copy(), np.arange(5000)
    for array in (private, private[3:], copied, plain, private + 0, None, [1]):
        release(array)
    assert np.array_equal(private, plain + 1)
    assert np.array_equal(copied, plain + 1)
