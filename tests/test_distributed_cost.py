"""The cost model of training in several processes, and what measures its constants."""

import json

import numpy as np
import pytest
from test_distributed import mpi, mpiexec

from fastdrop import models, nn
from fastdrop.distributed.bench import bench
from fastdrop.distributed.cost import WIRES, Link, Work, operations, outlook

WORK = Work(fixed=0.004, row=0.0001, nbytes=8_000_000, operations=0)
LINK = Link(30e-6, 0.8e-9)


def halve_and_double(vectors):
    """The sum on all ranks as Rabenseifner's algorithm makes it; with it the messages and
    bytes that rank 0 sends, one after the other."""
    ranks, size = vectors.shape
    found, messages, sent = vectors.copy(), 0, 0
    parts = [(0, size)] * ranks
    distance = ranks // 2
    while distance:  # each sends the half that the other goes on with
        before, kept = found.copy(), list(parts)
        for rank in range(ranks):
            begin, end = parts[rank]
            middle = (begin + end) // 2
            kept[rank] = (begin, middle) if rank & distance == 0 else (middle, end)
            part = slice(*kept[rank])
            found[rank, part] = before[rank, part] + before[rank ^ distance, part]
        messages, sent = messages + 1, sent + (parts[0][1] - parts[0][0]) // 2 * 4
        parts, distance = kept, distance // 2
    distance = 1
    while distance < ranks:
        before, wider = found.copy(), list(parts)
        for rank in range(ranks):
            other = slice(*parts[rank ^ distance])
            found[rank, other] = before[rank ^ distance, other]
            ends = *parts[rank], *parts[rank ^ distance]
            wider[rank] = min(ends), max(ends)
        messages, sent = messages + 1, sent + (parts[0][1] - parts[0][0]) * 4
        parts, distance = wider, distance * 2
    return found, messages, sent


@pytest.mark.parametrize("ranks", [1, 2, 4, 8, 16])
def test_exchange_counts_the_messages_and_bytes_of_the_algorithm(ranks):
    vectors = np.random.default_rng(0).integers(0, 99, (ranks, 64)).astype(np.float32)
    found, messages, sent = halve_and_double(vectors)
    assert (found == vectors.sum(axis=0)).all()
    assert Link(1.0, 0.0).exchange(ranks, 256) == messages
    assert Link(0.0, 1.0).exchange(ranks, 256) == sent


@pytest.mark.parametrize(
    ("layers", "sample"),
    [(models.mlp(10, (64, 32)), (20,)), (models.cnn(10, padding="same"), (28, 28, 1))],
)
def test_operations_are_three_times_those_that_pytorch_counts_forward(layers, sample):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    model = nn.Sequential(layers, input_shape=sample)
    with FlopCounterMode(display=False) as counter:
        x = torch.zeros(1, *sample).movedim(-1, 1)
        for layer in layers:
            weight = torch.from_numpy(layer.params["weight"]) if layer.params else None
            if isinstance(layer, nn.Conv2D):
                x = torch.conv2d(x, weight.permute(3, 2, 0, 1), padding="same")
            elif isinstance(layer, nn.MaxPool2D):
                x = torch.max_pool2d(x, 2)
            elif isinstance(layer, nn.Dense):
                x = x.reshape(1, -1) @ weight
    assert operations(model) == 3 * counter.get_total_flops()


def test_a_step_is_made_of_its_parts():
    assert WORK.step(1, 128, LINK) == pytest.approx(0.004 + 0.0128)
    four = 0.004 + 0.0032 + 4 * 30e-6 + 1.5 * 8e6 * 0.8e-9
    assert WORK.step(4, 128, LINK) == pytest.approx(four)
    assert WORK.step(4, 125, LINK) == WORK.step(4, 128, LINK)  # one rank has 32 rows
    assert WORK.speedup(4, 128, LINK) == pytest.approx(0.0168 / four)


@pytest.mark.parametrize("ranks", [2, 16, 1024])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_rows_for_a_share_of_the_speed_are_the_least(ranks, share):
    rows = WORK.rows_for(share, ranks, LINK)

    def kept(rows):
        return WORK.step(1, rows, LINK) / WORK.step(ranks, rows * ranks, LINK)

    assert kept(rows) >= share - 1e-12
    assert rows == 1 or kept(rows - 1) < share


def test_it_stops_scaling_where_twice_as_many_bring_less_than_a_quarter():
    slow = Link(1e-4, 0.0)
    stops = WORK.stops(8192, slow)
    gains = [
        WORK.step(2**k, 8192, slow) / WORK.step(2 ** (k + 1), 8192, slow)
        for k in range(stops.bit_length())
    ]
    assert 1 < stops < 8192
    assert min(gains[:-1]) >= 1.25 > gains[-1]


def test_outlook_adds_the_wire_to_what_a_byte_takes_within_a_node():
    found = {(one.wire, one.nodes): one for one in outlook(WORK, Link(1e-6, 1e-9), 8192)}
    assert len(found) == 8
    one = found["100 Gb", 64]
    both = Link(WIRES["100 Gb"].alpha, 8 / 100e9 + 1e-9)
    assert one.speedup == WORK.speedup(64, 8192, both)
    assert one.rows == WORK.rows_for(0.8, 64, both)
    assert one.stops == WORK.stops(8192, both)
    # More nodes are never slower here, a faster wire neither.
    assert found["10 Gb", 64].speedup < one.speedup < found["100 Gb", 256].speedup


def test_bad_arguments():
    with pytest.raises(ValueError, match="seconds must be finite and above 0, got nan"):
        bench(seconds=float("nan"))
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        bench(batch=0)


@mpi
def test_the_command_measures_with_all_processes_and_speaks_once(tmp_path):
    command = "-m", "fastdrop", "bench", "--mpi", "--seconds", "0.5"
    out, _, _ = mpiexec(2, *command, "--json", cwd=tmp_path)
    found = json.loads(out)
    assert (found["ranks"], found["threads"]) == (2, 1)
    assert found["link"]["alpha"] > 0
    assert [row["work"]["nbytes"] for row in found["rows"]] == [4 * 1_863_690, 4 * 225_034]
    assert min(row["measured"] for row in found["rows"]) > 0
    out, _, _ = mpiexec(2, *command, cwd=tmp_path)
    assert out.count("2 processes, threads of each: 1; alpha ") == 1
    assert out.count("100 Gb") == 8
