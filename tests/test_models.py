"""Networks to choose by name."""

import numpy as np
import pytest

import fastdrop
from fastdrop.data import Dataset
from fastdrop.models import MODELS, READS, TEXT_MODELS, bigrams, cnn, lstm, mlp, regularized, text
from fastdrop.nn import SGD, Adam, BatchNorm, Dropout, Sequential
from fastdrop.text import Vocabulary, encoded


def names(layers):
    return " ".join(type(layer).__name__ for layer in layers)


def rates(layers):
    return [layer.rate for layer in layers if isinstance(layer, Dropout)]


def units(layers):
    return [layer.units for layer in layers if type(layer).__name__ == "Dense"]


def parameters(layers, shape):
    model = Sequential(layers, input_shape=shape)
    return sum(param.size for layer in model.layers for param in layer.params.values())


def test_mlp_drops_behind_every_hidden_layer():
    layers = mlp(3, (20, 30), 0.4)
    assert names(layers) == "Flatten Dense ReLU Dropout Dense ReLU Dropout Dense"
    assert (units(layers), rates(layers)) == ([20, 30, 3], [0.4, 0.4])
    assert parameters(mlp(10), (28, 28, 1)) == 785 * 512 + 513 * 512 + 513 * 10
    layers = mlp(3, (20, 30), 0.4, input_rate=0.2, max_norm=2)
    assert names(layers[:3]) == "Flatten Dropout Dense"
    assert rates(layers) == [0.2, 0.4, 0.4]
    # The constraint is one of hidden units.
    limits = [layer.max_norm for layer in layers if type(layer).__name__ == "Dense"]
    assert limits == [2, 2, None]
    assert names(mlp(3, ())) == "Flatten Dense"


def test_cnn_is_that_of_the_tutorials():
    layers = cnn(10)
    block = "Conv2D ReLU MaxPool2D Dropout"
    assert names(layers) == f"{block} {block} Flatten Dense ReLU Dropout Dense"
    assert rates(layers) == [0.25, 0.25, 0.5]
    assert [(layers[i].filters, layers[i].kernel_size) for i in (0, 4)] == [
        (32, (3, 3)),
        (64, (3, 3)),
    ]
    # As Keras counts: 320 + 18,496 + 204,928 + 1,290.
    assert parameters(layers, (28, 28, 1)) == 225_034
    assert rates(cnn(10, rate=0.3, conv_rate=0.1)) == [0.1, 0.1, 0.3]
    assert rates(cnn(10, (8, 8), 0.3)) == [0.15, 0.15, 0.3, 0.3]
    small = cnn(4, (5,), filters=(2, 3), padding="same")
    assert parameters(small, (8, 8, 3)) == (27 + 1) * 2 + (18 + 1) * 3 + (12 + 1) * 5 + 6 * 4


@pytest.mark.parametrize(("padding", "least"), [("valid", 10), ("same", 4)])
def test_cnn_says_which_images_are_too_small(padding, least):
    Sequential(cnn(2, padding=padding), input_shape=(least, least, 1))
    with pytest.raises(ValueError, match="expected images of at least"):
        Sequential(cnn(2, padding=padding), input_shape=(least - 1, least, 1))


def test_cnn_computes_what_torch_does():
    torch = pytest.importorskip("torch")
    model = Sequential(cnn(7), rng=0, input_shape=(28, 28, 1))
    x = np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    arrays = [
        torch.from_numpy(layer.params[name])
        for layer in model.layers
        if layer.params
        for name in ("weight", "bias")
    ]
    y = torch.from_numpy(x).permute(0, 3, 1, 2)
    for weight, bias in (arrays[:2], arrays[2:4]):
        y = torch.conv2d(y, weight.permute(3, 2, 0, 1), bias)
        y = torch.max_pool2d(torch.relu(y), 2)
    y = y.permute(0, 2, 3, 1).flatten(1)
    y = torch.relu(y @ arrays[4] + arrays[5]) @ arrays[6] + arrays[7]
    np.testing.assert_allclose(model.forward(x), y.numpy(), rtol=1e-4, atol=1e-5)


def test_regularized_drops_behind_all_batch_normalisation():
    layers = regularized(5, (9, 8, 7))
    block = "Dense BatchNorm ReLU"
    assert names(layers) == f"Flatten {block} {block} {block} Dropout Dense"
    assert (units(layers), rates(layers)) == ([9, 8, 7, 5], [0.5])
    layers = regularized(5, (9, 8, 7), everywhere=True)
    assert names(layers) == f"Flatten {block} Dropout {block} Dropout {block} Dropout Dense"
    assert rates(layers) == [0.3, 0.3, 0.5]
    assert rates(regularized(5, (9, 8), 0.6, earlier_rate=0.1, everywhere=True)) == [0.1, 0.6]
    dense = [layer for layer in layers if type(layer).__name__ == "Dense"]
    assert {(layer.l1, layer.l2) for layer in dense} == {(1e-5, 1e-4)}
    dense = [layer for layer in regularized(5, l1=0.1, l2=0) if type(layer).__name__ == "Dense"]
    assert {(layer.l1, layer.l2) for layer in dense} == {(0.1, 0)}


def test_dropout_shifts_the_variance_of_the_batch_normalisation_behind_it():
    """What `regularized` avoids: the running variance is that of training alone."""
    x = np.random.default_rng(0).random((1000, 12), np.float32)
    shifts = []
    for everywhere in (False, True):
        layers = regularized(2, (100, 100), earlier_rate=0.5, everywhere=everywhere)
        model = Sequential(layers, optimizer=SGD(0.0), rng=0)
        model.fit(x, (x[:, 0] > 0.5).astype(int), epochs=20, batch_size=250, verbose=False)
        last = max(i for i, layer in enumerate(layers) if isinstance(layer, BatchNorm))
        values = x
        for layer in layers[:last]:
            values = layer.forward(values)
        shifts.append(np.mean(values.var(axis=0) / layers[last].state["variance"]))
    assert shifts[0] == pytest.approx(1, abs=0.1)
    assert shifts[1] < 0.7


@pytest.mark.parametrize("name", MODELS)
def test_without_a_rate_there_is_no_dropout(name):
    assert rates(MODELS[name](3, rate=0)) == []
    assert rates(MODELS[name](3, rate=0.25))[-1] == 0.25


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns(name):
    x = np.random.default_rng(0).random((200, 10, 10, 1), np.float32)
    y = (x[:, :5].mean(axis=(1, 2, 3)) > x[:, 5:].mean(axis=(1, 2, 3))).astype(int)
    model = Sequential(MODELS[name](2, hidden=(32,), rate=0.2), optimizer=Adam(0.003), rng=0)
    model.fit(x, y, epochs=25, verbose=False)
    assert model.evaluate(x, y)["accuracy"] > 0.85


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rate": 1.5}, r"Dropout: rate must be in \[0, 1\], got 1.5"),
        ({"hidden": (8, 0)}, "Dense: units must be at least 1, got 0"),
        ({"classes": 0}, "Dense: units must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_told(name, settings, text):
    with pytest.raises(ValueError, match=text):
        MODELS[name](**({"classes": 3} | settings))


# Models of text


def test_text_drops_words_and_hidden_units():
    layers = text(3, (20, 30), 0.4, words=50, units=7)
    block = "Dense ReLU Dropout"
    assert names(layers) == f"EmbeddingDropout GlobalAvgPool1D {block} {block} Dense"
    assert (units(layers), rates(layers)) == ([20, 30, 3], [0.4, 0.4])
    assert (layers[0].words, layers[0].units, layers[0].rate) == (50, 7, 0.4)
    assert layers[0].padding == 0
    assert names(text(3, (), 0, words=50)) == "Embedding GlobalAvgPool1D Dense"


def test_bigrams_is_softmax_regression_on_a_bag():
    sentences = ["so good", "so bad", "not so good", "good"]
    vocabulary = Vocabulary(sentences, ngrams=(1, 2))
    indices = vocabulary.encode(sentences, unique=True)
    model = Sequential(bigrams(3, rate=0, words=len(vocabulary)), optimizer=SGD(0.5), rng=0)
    assert not model.forward(indices).any()
    bag, weight = vocabulary.bag(sentences).astype(float), np.zeros((len(vocabulary), 3))
    y = np.array([2, 0, 1, 2])
    for _ in range(5):
        logits = bag @ weight
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        p[np.arange(4), y] -= 1
        weight -= 0.5 * bag.T @ p / 4
        model.train_batch(indices, y)
    np.testing.assert_allclose(model.forward(indices), bag @ weight, rtol=1e-5)


def test_bigrams_drops_what_is_in_each_bag():
    layers = bigrams(2, rate=0.5, words=40)
    assert names(layers) == "Embedding Dropout GlobalSumPool1D"
    indices = np.random.default_rng(0).permuted(np.tile(np.arange(1, 40), (500, 1)), axis=1)
    Sequential(layers, rng=0, input_shape=(39,))
    layers[0].params["weight"][1:, 0] = 1
    model = Sequential(layers, rng=0)
    sums = model.forward(indices, training=True)[:, 0]
    # Twice what a binomial of 39 and 0.5 counts.
    assert set((sums / 2).round(5) % 1) == {0}
    assert sums.mean() == pytest.approx(39, abs=5 * 39**0.5 / 500**0.5)
    assert sums.std() == pytest.approx(39**0.5, rel=0.2)
    layers = bigrams(3, (8, 9), 0.5, words=40)
    block = "ReLU Dropout Dense"
    assert names(layers) == f"Embedding Dropout GlobalSumPool1D {block} {block}"
    assert units(layers) == [9, 3]


def test_lstm_reads_word_by_word():
    layers = lstm(3, (8, 9), 0.25, words=40, units=5)
    assert names(layers) == "Embedding LSTM LSTM Dense"
    for layer, last in zip(layers[1:3], (False, True), strict=True):
        assert (layer.dropout, layer.recurrent_dropout) == (0.25, 0.25)
        assert layer.return_sequences == (not last)
        assert not layer.per_step
    assert lstm(2, words=40, per_step=True)[1].per_step
    # What comes after the end of a sentence changes nothing.
    model = Sequential(layers, rng=0)
    short, padded = model.forward([[3, 9, 4]]), model.forward([[3, 9, 4, 0, 0]])
    np.testing.assert_allclose(padded, short, rtol=1e-5)
    with pytest.raises(ValueError, match=r"lstm: hidden must hold .* at least one layer, got \(\)"):
        lstm(2, (), words=40)


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_every_model_of_text_learns(name):
    subjects = [f"the {noun} is" for noun in ("film", "book", "play", "song")]
    words = [("good", 1), ("bad", 0), ("great", 1), ("poor", 0)]
    x = np.array([f"{subject} {word}" for subject in subjects for word, _ in words])
    y = np.array([label for _ in subjects for _, label in words])
    data, vocabulary = encoded(Dataset(x, y, x, y), **READS[name])
    layers = TEXT_MODELS[name](2, rate=0.2, words=len(vocabulary))
    model = Sequential(layers, optimizer=Adam(0.01), rng=0)
    model.fit(data.x_train, y, epochs=25, verbose=False)
    assert model.evaluate(data.x_test, y)["accuracy"] > 0.9


@pytest.mark.parametrize("name", TEXT_MODELS)
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rate": 1.5}, r"rate must be in \[0, 1\], got 1.5|dropout must be .* got 1.5"),
        ({"hidden": (8, 0)}, "units must be at least 1, got 0"),
        ({"classes": 0}, "units must be at least 1, got 0"),
        ({"words": 0}, "Embedding.*: words must be at least 1, got 0"),
    ],
)
def test_bad_arguments_of_models_of_text_are_told(name, settings, text):
    with pytest.raises(ValueError, match=text):
        TEXT_MODELS[name](**({"classes": 3, "words": 9} | settings))


def test_the_room_is_lazy():
    assert fastdrop.models.MODELS is MODELS
