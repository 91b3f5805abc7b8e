"""`fastdrop.torch`'s modules, and models whose dropout is replaced and restored."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: fastdrop.torch is not tested"
)

from torch import nn  # noqa: E402

import fastdrop.torch  # noqa: E402
from fastdrop.torch import functional, replace_dropout, restore_dropout  # noqa: E402

FUNCTIONS = {
    "Dropout": ("dropout", (4, 6)),
    "Dropout1d": ("dropout1d", (4, 6, 2)),
    "Dropout2d": ("dropout2d", (4, 6, 2, 2)),
    "Dropout3d": ("dropout3d", (4, 6, 2, 1, 2)),
    "AlphaDropout": ("alpha_dropout", (4, 6)),
    "FeatureAlphaDropout": ("feature_alpha_dropout", (4, 6, 2)),
}


def network():
    torch.manual_seed(0)
    shared = nn.Dropout(0.1, inplace=True)
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)),
        nn.Conv2d(1, 8, 3),
        nn.Dropout2d(0.2),
        nn.Flatten(),
        nn.SELU(),
        nn.AlphaDropout(0.1),
        nn.ModuleDict({"head": nn.Sequential(nn.Linear(32, 6), shared)})["head"],
        shared,
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_module_is_pytorchs_with_the_functions_masks(name):
    function, shape = FUNCTIONS[name]
    layer = getattr(fastdrop.torch, name)(0.3)
    their = getattr(nn, name)(0.3)
    assert isinstance(layer, type(their))
    assert repr(layer) == repr(their)
    assert layer.state_dict() == {}
    x = torch.randn(shape)
    torch.manual_seed(1)
    y = layer(x)
    torch.manual_seed(1)
    assert torch.equal(y, getattr(functional, function)(x, 0.3, training=True))
    assert layer.eval()(x) is x
    assert layer.train()(input=x).shape == x.shape
    found = inspect.signature(type(layer)).parameters
    assert [*inspect.signature(type(their)).parameters, "rng"] == list(found)


@pytest.mark.parametrize("p", [-0.1, 1.1])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_bad_p_is_pytorchs_error(name, p):
    with pytest.raises(ValueError) as their:  # noqa: PT011 - compared below
        getattr(nn, name)(p)
    with pytest.raises(ValueError) as found:  # noqa: PT011
        getattr(fastdrop.torch, name)(p)
    assert str(found.value) == str(their.value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_in_place(name):
    _, shape = FUNCTIONS[name]
    for kind in (getattr(nn, name), getattr(fastdrop.torch, name)):
        x = torch.ones(shape)
        y = kind(0.5, inplace=True)(x)
        # PyTorch's two alpha modules take it and do not do it.
        assert (y is x) == ("Alpha" not in name)
        assert torch.equal(x, torch.ones(shape)) == ("Alpha" in name)


def test_a_module_goes_on_drawing_from_its_own_rng():
    x = torch.ones(1000)
    layer, same = fastdrop.torch.Dropout(rng=3), fastdrop.torch.Dropout(rng=3)
    state = torch.get_rng_state()
    first, second = layer(x), layer(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, same(x))
    assert torch.equal(second, same(x))
    assert not torch.equal(first, second)
    stream = fastdrop.MaskStream(3)
    assert np.array_equal(first, fastdrop.dropout(x.numpy(), 0.5, rng=stream))
    generator = torch.Generator().manual_seed(1)
    layer = fastdrop.torch.Dropout(rng=generator)
    first = layer(x)
    generator.manual_seed(1)
    assert torch.equal(layer(x), first)
    with pytest.raises(TypeError):
        fastdrop.torch.Dropout(rng="3")


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("rng", [None, 3], ids=["torch", "int"])
def test_copies_and_pickles_go_on_alike(name, rng):
    _, shape = FUNCTIONS[name]
    layer = getattr(fastdrop.torch, name)(0.3, rng=rng)
    x = torch.randn(shape)
    layer(x)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    copies = [
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(file, weights_only=False),
    ]
    torch.manual_seed(1)
    y = layer(x)
    for one in copies:
        assert type(one) is type(layer)
        torch.manual_seed(1)
        assert torch.equal(one(x), y)


def test_replaced_and_restored_models_have_the_same_modules_and_keys():
    model = network()
    before, keys = dict(model.named_modules()), list(model.state_dict())
    calls = []
    model[2].register_forward_hook(lambda *_: calls.append(1))
    model[7].eval()
    assert replace_dropout(model) is model
    assert list(model.state_dict()) == keys
    found = dict(model.named_modules())
    assert all(found[name] is module for name, module in before.items())
    kinds = [type(module) for module in model.modules() if "Dropout" in type(module).__name__]
    expected = ["Dropout2d", "AlphaDropout", "Dropout"]
    assert kinds == [getattr(fastdrop.torch, name) for name in expected]
    assert model[6][1] is model[7]
    assert (model[7].p, model[7].inplace, model[7].training) == (0.1, True, False)
    model(torch.randn(3, 16))
    assert calls == [1]
    restore_dropout(model)
    kinds = [type(module) for module in model.modules() if "Dropout" in type(module).__name__]
    assert kinds == [getattr(nn, name) for name in expected]
    assert list(model.state_dict()) == keys
    model.load_state_dict(network().state_dict())


def test_a_model_may_be_one_layer():
    layer = replace_dropout(nn.Dropout(0.2))
    assert type(layer) is fastdrop.torch.Dropout
    assert type(restore_dropout(fastdrop.torch.Dropout1d(rng=0))) is nn.Dropout1d
    assert type(replace_dropout(fastdrop.torch.Dropout(0.2))) is fastdrop.torch.Dropout


def test_what_is_no_dropout_module_of_pytorch_is_left_alone():
    class Mine(nn.Dropout):
        pass

    model = nn.Sequential(Mine(), nn.LSTM(2, 2, num_layers=2, dropout=0.1))
    assert [type(module) for module in replace_dropout(model)] == [Mine, nn.LSTM]
    for function in (replace_dropout, restore_dropout):
        with pytest.raises(TypeError, match=f"{function.__name__}: model must be .* got list"):
            function([model])


def test_a_transformer_trains_and_predicts_as_before():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        expected = layer.eval()(x)
    replace_dropout(layer).train()
    torch.manual_seed(1)
    y = layer(x)
    y.square().mean().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    torch.manual_seed(1)
    assert torch.equal(layer(x), y)
    with torch.no_grad():
        assert torch.equal(layer.eval()(x), expected)


def test_training_with_a_seed_is_reproducible():
    def train():
        model = replace_dropout(network())
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        torch.manual_seed(2)
        for _ in range(5):
            optimizer.zero_grad()
            loss = model(torch.randn(8, 16)).square().mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    assert train() == train()
