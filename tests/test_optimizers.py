"""Optimisers and schedules against their formulas and PyTorch."""

import json
from math import cos, inf, nan, pi, sqrt

import numpy as np
import pytest

import fastdrop
from fastdrop.nn.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Optimizer, RMSprop
from fastdrop.nn.schedules import (
    CosineDecay,
    ExponentialDecay,
    LinearDecay,
    PiecewiseConstant,
)

SHAPES = {"0.weight": (4, 3), "0.bias": (3,), "2.weight": (3, 3, 2, 5), "scale": ()}
STEPS = 50


def naive_sgd(p, gradients, rate, momentum=0.0, nesterov=False):
    v = 0
    for g in gradients:
        v = momentum * v + g
        p = p - rate * (g + momentum * v if nesterov else v)
    return p


def naive_adam(p, gradients, rate, b1=0.9, b2=0.999, epsilon=1e-8, decay=0.0):
    m = v = 0
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        p = p - rate * decay * p
        p = p - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + epsilon)
    return p


def naive_rmsprop(p, gradients, rate, rho=0.9, momentum=0.0, epsilon=1e-8):
    s = v = 0
    for g in gradients:
        s = rho * s + (1 - rho) * g**2
        v = momentum * v + g / (np.sqrt(s) + epsilon)
        p = p - rate * v
    return p


# Ours, the formula, and PyTorch's name and arguments.
CASES = [
    (SGD(0.1), lambda p, g: naive_sgd(p, g, 0.1), "SGD", {"lr": 0.1}),
    (
        SGD(0.1, momentum=0.8),
        lambda p, g: naive_sgd(p, g, 0.1, 0.8),
        "SGD",
        {"lr": 0.1, "momentum": 0.8},
    ),
    (
        SGD(0.1, 0.8, nesterov=True),
        lambda p, g: naive_sgd(p, g, 0.1, 0.8, True),
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    ),
    (Adam(), lambda p, g: naive_adam(p, g, 1e-3), "Adam", {}),
    (
        Adam(0.02, 0.7, 0.9, 1e-2),
        lambda p, g: naive_adam(p, g, 0.02, 0.7, 0.9, 1e-2),
        "Adam",
        {"lr": 0.02, "betas": (0.7, 0.9), "eps": 1e-2},
    ),
    (AdamW(), lambda p, g: naive_adam(p, g, 1e-3, decay=0.01), "AdamW", {}),
    (
        AdamW(0.1, weight_decay=0.5),
        lambda p, g: naive_adam(p, g, 0.1, decay=0.5),
        "AdamW",
        {"lr": 0.1, "weight_decay": 0.5},
    ),
    (
        RMSprop(),
        lambda p, g: naive_rmsprop(p, g, 1e-3),
        "RMSprop",
        {"lr": 1e-3, "alpha": 0.9},
    ),
    (
        RMSprop(0.01, 0.8, 0.7, 1e-2),
        lambda p, g: naive_rmsprop(p, g, 0.01, 0.8, 0.7, 1e-2),
        "RMSprop",
        {"lr": 0.01, "alpha": 0.8, "momentum": 0.7, "eps": 1e-2},
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=[f"{c[2]}-{c[3]}" for c in CASES])


def arrays(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {name: np.array(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def copies(params):
    return {name: param.copy() for name, param in params.items()}


@each_case
def test_fifty_steps_are_the_formulas(case):
    optimizer, naive, _, _ = case
    params, state = arrays(0), {}
    before = copies(params)
    gradients = [arrays(1 + step) for step in range(STEPS)]
    kept = [copies(grads) for grads in gradients]
    for grads in gradients:
        optimizer.step(params, grads, state)
    assert state["step"] == STEPS
    for name, param in params.items():
        expected = naive(before[name], [grads[name] for grads in kept])
        np.testing.assert_allclose(param, expected, rtol=1e-12, atol=1e-13)
        assert all(np.array_equal(a[name], b[name]) for a, b in zip(gradients, kept, strict=True))
        assert {state[f"{slot}.{name}"].shape for slot in optimizer.slots} <= {param.shape}


@each_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fifty_steps_are_pytorchs(case, dtype):
    torch = pytest.importorskip("torch")
    optimizer, _, name, arguments = case
    params, state = arrays(0, dtype), {}
    tensors = {key: torch.tensor(param, requires_grad=True) for key, param in params.items()}
    peer = getattr(torch.optim, name)(tensors.values(), **arguments)
    for step in range(STEPS):
        grads = arrays(1 + step, dtype)
        optimizer.step(params, grads, state)
        for key, tensor in tensors.items():
            tensor.grad = torch.tensor(grads[key])
        peer.step()
    bound = 1e-5 if dtype == np.float32 else 1e-12
    for key, param in params.items():
        assert param.dtype == dtype
        assert {state[f"{slot}.{key}"].dtype for slot in optimizer.slots} <= {np.dtype(dtype)}
        expected = tensors[key].detach().numpy()
        np.testing.assert_allclose(param, expected, rtol=bound, atol=bound / 10)


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_gradients_are_clipped_by_their_norm_together(kind):
    grads = arrays(1)
    norm = sqrt(sum(float(x) ** 2 for grad in grads.values() for x in grad.flat))
    for limit, factor in ((0.25 * norm, 0.25), (1.01 * norm, 1.0)):
        # An epsilon, so that the size of a gradient tells in every rule.
        clipped = kind(0.1, clip_norm=limit)
        plain = kind(0.1)
        if kind is not SGD:
            clipped.epsilon = plain.epsilon = 1.0
        params = arrays(0)
        others = copies(params)
        clipped.step(params, grads, {})
        plain.step(others, {name: grad * factor for name, grad in grads.items()}, {})
        for name, param in params.items():
            np.testing.assert_allclose(param, others[name], rtol=1e-13, atol=1e-15)


def test_clipping_is_pytorchs():
    torch = pytest.importorskip("torch")
    params, grads = arrays(0), arrays(1)
    tensors = {key: torch.tensor(param, requires_grad=True) for key, param in params.items()}
    for key, tensor in tensors.items():
        tensor.grad = torch.tensor(grads[key])
    torch.nn.utils.clip_grad_norm_(tensors.values(), 0.5)
    SGD(1.0, clip_norm=0.5).step(params, grads, {})
    for key, tensor in tensors.items():
        # PyTorch adds 1e-6 to the norm.
        np.testing.assert_allclose(params[key], (tensor - tensor.grad).detach(), rtol=1e-5)


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_results_do_not_depend_on_threads(kind):
    rng = np.random.default_rng(0)
    start = rng.random((1 << 10, 517), np.float32)  # 2 MB, above one thread's share
    grads = [rng.random(start.shape, np.float32) for _ in range(2)]
    before, results = fastdrop.get_num_threads(), []
    try:
        for threads in (1, 2):
            fastdrop.set_num_threads(threads)
            params, state = {"w": start.copy()}, {}
            for grad in grads:
                kind(0.1, clip_norm=0.1).step(params, {"w": grad}, state)
            results.append(params["w"])
    finally:
        fastdrop.set_num_threads(before)
    assert np.array_equal(*results)
    assert not np.array_equal(results[0], start)


def test_one_optimizer_serves_several_networks():
    adam, alone = Adam(0.1), Adam(0.1)
    first, second, expected = ({"w": np.ones(2)} for _ in range(3))
    states = {}, {}, {}
    for step in range(3):
        adam.step(first, {"w": np.full(2, 1.0 + step)}, states[0])
        adam.step(second, {"w": np.full(2, -1.0)}, states[1])
        alone.step(expected, {"w": np.full(2, 1.0 + step)}, states[2])
    assert np.array_equal(first["w"], expected["w"])
    assert states[0].keys() == {"step", "moment.w", "square.w"}


def test_state_goes_on_where_it_was():
    first, second = arrays(0), arrays(0)
    state = {}
    for step in range(6):
        Adam(0.1).step(first, arrays(step), state)
    state = {}
    for step in range(3):
        Adam(0.1).step(second, arrays(step), state)
    state = {name: np.array(value) for name, value in state.items()}  # as from a file
    for step in range(3, 6):
        Adam(0.1).step(second, arrays(step), state)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_gradients_of_other_kinds_are_read_as_the_parameters():
    start = np.arange(12, dtype=np.float32).reshape(3, 4)
    grad = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    unaligned = np.frombuffer(b"x" + grad.tobytes(), np.float32, offset=1).reshape(3, 4)
    given = [grad, grad.astype(np.float64), np.asfortranarray(grad), grad.tolist(), unaligned]
    given += [np.repeat(grad, 2, axis=1)[:, ::2], grad.astype(">f4")]
    for each in given:
        params = {"w": start.copy()}
        SGD(0.5).step(params, {"w": each}, {})
        assert np.array_equal(params["w"], start - np.float32(0.5) * grad)


def test_empty_networks_and_empty_arrays():
    state = {}
    SGD(clip_norm=1.0).step({}, {}, state)
    Adam(clip_norm=1.0).step({"w": np.ones((0, 3))}, {"w": np.ones((0, 3))}, state)
    assert state["step"] == 2


@pytest.mark.parametrize(
    ("params", "grads", "state", "error", "text"),
    [
        ({"w": np.ones(3)}, {"v": np.ones(3)}, {}, ValueError, r"\['first', 'w'\], got \["),
        ({"w": np.ones(3)}, {"w": np.ones(4)}, {}, ValueError, r"shape \(3,\), got \(4,\)"),
        ({"w": np.ones(3)}, {"w": np.ones((3, 1))}, {}, ValueError, r"got \(3, 1\)"),
        ({"w": np.ones(3, int)}, {"w": np.ones(3)}, {}, TypeError, "float32 or float64, got int"),
        ({"w": np.ones(3, ">f8")}, {"w": np.ones(3)}, {}, TypeError, "got >f8"),
        ({"w": np.ones(6)[::2]}, {"w": np.ones(3)}, {}, ValueError, "must be C-contiguous"),
        (
            {"w": np.frombuffer(bytes(24))},
            {"w": np.ones(3)},
            {},
            ValueError,
            "aligned and writeable",
        ),
        (
            {"w": np.ones(3)},
            {"w": np.ones(3)},
            {"velocity.w": np.ones(2)},
            ValueError,
            r"state\['velocity.w'\] must be .* \(3,\), got float64, \(2,\)",
        ),
        (
            {"w": np.ones(3)},
            {"w": np.ones(3)},
            {"velocity.w": np.ones(3, np.float32)},
            ValueError,
            "got float32",
        ),
        (
            {"w": np.ones(3)},
            {"w": np.ones(3)},
            {"velocity.w": np.frombuffer(bytes(24))},
            ValueError,
            "must be writeable",
        ),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_moves(params, grads, state, error, text):
    params, grads = {"first": np.ones(3), **params}, {"first": np.ones(3), **grads}
    known = dict(state)
    with pytest.raises(error, match="SGD.step: .*" + text):
        SGD(0.1, 0.9).step(params, grads, state)
    assert np.array_equal(params["first"], np.ones(3))
    assert state.keys() == known.keys()


def test_memory_is_taken_before_anything_moves(monkeypatch):
    taken = []

    def zeros(*arguments):
        if len(taken) == 3:
            raise MemoryError
        taken.append(arguments)
        return np.ndarray(*arguments)

    params, grads, state = arrays(0), arrays(1), {}
    before = copies(params)
    with monkeypatch.context() as patch:
        patch.setattr("fastdrop.nn.optimizers.np.zeros", zeros)
        with pytest.raises(MemoryError):
            Adam().step(params, grads, state)
    assert len(taken) == 3
    assert state == {}
    assert all(np.array_equal(params[name], before[name]) for name in params)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: SGD(-1), ValueError, "SGD: learning_rate must be finite and at least 0, got -1"),
        (lambda: SGD(nan), ValueError, "SGD: learning_rate must be finite"),
        (lambda: SGD("1"), TypeError, "SGD: learning_rate must be a number, got '1'"),
        (lambda: SGD(0.1, 1), ValueError, r"SGD: momentum must be in \[0, 1\), got 1"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "SGD: nesterov needs a momentum"),
        (lambda: SGD(0.1, 0.9, nesterov=0.9), TypeError, "SGD: nesterov must be a bool, got 0.9"),
        (lambda: SGD(clip_norm=0), ValueError, "SGD: clip_norm must be above 0, got 0"),
        (lambda: Adam(clip_norm=nan), ValueError, "Adam: clip_norm must be finite"),
        (lambda: Adam(clip_norm="1"), TypeError, "Adam: clip_norm must be a number, got '1'"),
        (lambda: Adam(beta_1=1), ValueError, r"Adam: beta_1 must be in \[0, 1\), got 1"),
        (lambda: Adam(beta_2=1), ValueError, r"Adam: beta_2 must be in \[0, 1\), got 1"),
        (lambda: Adam(epsilon=-1), ValueError, "Adam: epsilon must be finite and at least 0"),
        (lambda: AdamW(weight_decay=-1), ValueError, "AdamW: weight_decay must be finite"),
        (lambda: RMSprop(rho=1), ValueError, r"RMSprop: rho must be in \[0, 1\), got 1"),
        (lambda: RMSprop(momentum=1), ValueError, r"RMSprop: momentum must be in \[0, 1\)"),
        (lambda: RMSprop(epsilon=inf), ValueError, "RMSprop: epsilon must be finite"),
        (lambda: SGD({"name": "x"}), ValueError, "SGD: a schedule's name must be one of 'expon"),
        (lambda: ExponentialDecay(-1, 9, 0.5), ValueError, "ExponentialDecay: initial must be"),
        (lambda: ExponentialDecay(1, 0, 0.5), ValueError, "ExponentialDecay: decay_steps must"),
        (lambda: ExponentialDecay(1, 9, nan), ValueError, "ExponentialDecay: decay_rate must be"),
        (lambda: CosineDecay(1, 2.5), TypeError, "CosineDecay: decay_steps must be an int"),
        (lambda: CosineDecay(1, 2, final=-1), ValueError, "CosineDecay: final must be finite"),
        (lambda: CosineDecay(1, 2, warmup_steps=-1), ValueError, "warmup_steps must be at least 0"),
        (lambda: CosineDecay(1, 2, warmup_steps=0.5), TypeError, "warmup_steps must be an int"),
        (lambda: LinearDecay(1, "0", 2), TypeError, "LinearDecay: final must be a number"),
        (lambda: PiecewiseConstant([5, 5], [1, 2, 3]), ValueError, "boundaries must rise"),
        (lambda: PiecewiseConstant([5], [1, 2, 3]), ValueError, "one more than the 1 bound.*got 3"),
        (lambda: PiecewiseConstant([5], [1, nan]), ValueError, "PiecewiseConstant: values must"),
        (lambda: PiecewiseConstant([0], [1, 2]), ValueError, "boundaries must be at least 1"),
    ],
)
def test_bad_settings_are_told(make, error, text):
    with pytest.raises(error, match=text):
        make()


# Learning rates and schedules


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_the_learning_rate_may_be_set_between_steps(kind):
    grads = {"w": np.ones(3)}
    changed, params, state = kind(0.5), {"w": np.ones(3)}, {}
    others, other_state = {"w": np.ones(3)}, {}
    for rate in (0.5, 0.125, 0.0, 0.25):
        changed.learning_rate = rate
        assert changed.learning_rate == changed.rate_at(7) == rate
        changed.step(params, grads, state)
        kind(rate).step(others, grads, other_state)
    assert np.array_equal(params["w"], others["w"])
    with pytest.raises(ValueError, match="learning_rate must be finite and at least 0, got -1"):
        changed.learning_rate = -1
    assert changed.learning_rate == 0.25


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_a_schedule_gives_each_steps_rate(kind):
    asked, rates = [], [0.5, 0.0, 0.125]

    def schedule(step):
        asked.append(step)
        return rates[step]

    scheduled, params, state = kind(schedule), {"w": np.ones(3)}, {}
    others, other_state = {"w": np.ones(3)}, {}
    for rate in rates:
        scheduled.step(params, {"w": np.ones(3)}, state)
        kind(rate).step(others, {"w": np.ones(3)}, other_state)
    assert asked == [0, 1, 2]
    assert np.array_equal(params["w"], others["w"])
    assert scheduled.rate_at(2) == 0.125


@pytest.mark.parametrize(
    ("given", "error"), [(nan, ValueError), (-1, ValueError), (None, TypeError)]
)
def test_a_bad_rate_of_a_schedule_moves_nothing(given, error):
    params, state = {"w": np.ones(3)}, {}
    with pytest.raises(error, match="Adam: learning_rate of step 0 must be"):
        Adam(lambda step: given).step(params, {"w": np.ones(3)}, state)
    assert np.array_equal(params["w"], np.ones(3))
    assert state == {}


def test_schedules_are_their_formulas():
    steps = range(0, 400, 7)
    exponential = ExponentialDecay(0.3, 50, 0.9)
    assert [exponential(n) for n in steps] == pytest.approx([0.3 * 0.9 ** (n / 50) for n in steps])
    linear = LinearDecay(0.1, 0.4, 200)
    expected = [0.1 + 0.3 * n / 200 if n < 200 else 0.4 for n in steps]
    assert [linear(n) for n in steps] == pytest.approx(expected)
    cosine = CosineDecay(0.8, 200, final=0.2, warmup_steps=40)
    expected = [
        0.8 * n / 40 if n < 40 else 0.2 + 0.3 * (1 + cos(pi * (n - 40) / 200)) if n < 240 else 0.2
        for n in steps
    ]
    assert [cosine(n) for n in steps] == pytest.approx(expected)
    pieces = PiecewiseConstant([3, 5], [1.0, 0.5, 0.25])
    assert [pieces(n) for n in range(7)] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert PiecewiseConstant([], [0.5])(9) == 0.5


@pytest.mark.parametrize(
    ("ours", "name", "arguments"),
    [
        (ExponentialDecay(0.1, 1, 0.9), "ExponentialLR", {"gamma": 0.9}),
        (CosineDecay(0.1, 20, final=0.01), "CosineAnnealingLR", {"T_max": 20, "eta_min": 0.01}),
        (
            LinearDecay(0.1, 0.02, 20),
            "LinearLR",
            {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 20},
        ),
        (
            PiecewiseConstant([4, 9], [0.1, 0.01, 0.001]),
            "MultiStepLR",
            {"milestones": [4, 9], "gamma": 0.1},
        ),
    ],
)
def test_schedules_are_pytorchs(ours, name, arguments):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = getattr(torch.optim.lr_scheduler, name)(optimizer, **arguments)
    for step in range(20):
        assert ours(step) == pytest.approx(schedule.get_last_lr()[0], rel=1e-12)
        optimizer.step()
        schedule.step()


# What a checkpoint holds


@pytest.mark.parametrize(
    "rate",
    [
        0.25,
        ExponentialDecay(0.5, 10, 0.9),
        CosineDecay(0.5, 10, 0.1, 3),
        PiecewiseConstant((3, 5), (1.0, 0.5, 0.25)),
        LinearDecay(0.5, 0.25, np.int64(10)),
    ],
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_config_makes_the_same_optimizer(name, rate):
    kind = OPTIMIZERS[name]
    optimizer = kind(rate, *([0.5] * (kind is not SGD)), clip_norm=np.float32(2))
    config = json.loads(json.dumps(optimizer.config()))
    again = kind(**config)
    assert again.config() == optimizer.config()
    assert again.learning_rate == rate
    assert again.clip_norm == 2.0
    params, others = arrays(0), arrays(0)
    for step in range(3):
        optimizer.step(params, arrays(step), {"step": step})
        again.step(others, arrays(step), {"step": step})
    assert all(np.array_equal(params[key], others[key]) for key in params)


def test_config_holds_all_settings():
    assert SGD(0.5, 0.9, True, 3).config() == {
        "learning_rate": 0.5,
        "momentum": 0.9,
        "nesterov": True,
        "clip_norm": 3.0,
    }
    assert AdamW(weight_decay=0.5).config()["weight_decay"] == 0.5
    assert "weight_decay" not in Adam().config()
    changed = SGD(0.5)
    changed.learning_rate = 0.25
    assert changed.config()["learning_rate"] == 0.25


def test_a_function_of_ones_own_is_missed_when_training_goes_on():
    def halving(step):
        return 0.5**step

    config = json.loads(json.dumps(SGD(halving).config()))
    again = SGD(**config)
    assert again.config() == config
    params, state = {"w": np.ones(3)}, {}
    with pytest.raises(ValueError, match=r"was a function, .*halving, which a checkpoint does not"):
        again.step(params, {"w": np.ones(3)}, state)
    assert state == {}
    again.learning_rate = halving
    again.step(params, {"w": np.ones(3)}, state)
    assert np.array_equal(params["w"], np.zeros(3))


def test_ones_own_optimizer():
    class Signs(Optimizer):
        def __init__(self, learning_rate=0.5):
            super().__init__(learning_rate)

        def _move(self, param, grad, rate, step, factor):
            param -= rate * np.sign(grad)

    params = {"w": np.ones(2)}
    Signs(0.25).step(params, {"w": np.array([3.0, -4.0])}, {})
    assert np.array_equal(params["w"], [0.75, 1.25])
    assert Signs().config() == {"learning_rate": 0.5}
