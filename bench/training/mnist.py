"""Keras's side of `npm run bench:mnist`: trains on the files that bench/training/job.ts wrote.

  python mnist.py FOLDER FORM

FORM is a function of FORMS below. It answers on stdout, a line of JSON each time: once when it is ready, then after every
epoch; each line on stdin asks for an epoch. The number of threads comes in OMP_NUM_THREADS.
"""

import json
import os
import pathlib
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)

folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
size = job["batchSize"]


def images(name):
    """Their pixels in [0, 1], and the digits."""
    labels = np.fromfile(folder / f"{name}-labels", np.uint8)
    pixels = np.fromfile(folder / f"{name}-pixels", np.uint8).reshape(len(labels), -1)
    return pixels / np.float32(255), labels.astype(np.int32)


def network(x):
    """The network of examples/network.ts with the weights it begins with."""
    classes = job["classes"]
    layers = [keras.Input((x.shape[1],)), keras.layers.Dense(job["hidden"], "relu"), keras.layers.Dense(classes)]
    model = keras.Sequential(layers)
    flat = np.fromfile(folder / "weights", np.float32)
    shapes = [v.shape for v in model.trainable_variables]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    model.set_weights([part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes)])
    return model


train_x, train_y = images("train")
test_x, test_y = images("test")
model = network(train_x)
optimizer = keras.optimizers.Nadam(learning_rate=job["learningRate"])
optimizer.build(model.trainable_variables)
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer, cross_entropy)


def differentiate(x, y):
    with tf.GradientTape() as tape:
        loss = cross_entropy(y, model(x, training=True))
    return loss, tape.gradient(loss, model.trainable_variables)


def step(x, y):
    loss, gradients = differentiate(x, y)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


def by_batches(function):
    """Calls `function` for each batch of an order of the images; returns the losses."""

    def run(order):
        rows = (order[start : start + size] for start in range(0, len(order), size))
        # The gradients are returned, or TensorFlow would not compute them; converting the losses waits for the last step.
        results = [function(train_x[r], train_y[r]) for r in rows]
        return [float(r[0] if isinstance(r, tuple) else r) for r in results]

    return run


def compiled(**options):
    """A tf.function called for each batch: with the optimizer's step, and without it."""
    signature = [tf.TensorSpec([None, train_x.shape[1]], tf.float32), tf.TensorSpec([None], tf.int32)]
    return [by_batches(tf.function(f, input_signature=signature, **options)) for f in (step, differentiate)]


def whole_epoch():
    """One tf.function for all batches, which it takes from tensors of all images: no Python between the steps."""
    x, y = tf.constant(train_x), tf.constant(train_y)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
    def run(order):
        steps = (tf.size(order) + size - 1) // size
        losses = tf.TensorArray(tf.float32, steps)
        for i in tf.range(steps):
            rows = order[i * size : (i + 1) * size]
            losses = losses.write(i, step(tf.gather(x, rows), tf.gather(y, rows)))
        return losses.stack()

    return [lambda order: run(order.astype(np.int32)).numpy().tolist(), None]


def fit(order):
    """Keras's own loop. It tells the loss of the whole epoch only."""
    history = model.fit(train_x[order], train_y[order], batch_size=size, shuffle=False, verbose=0)
    return history.history["loss"]


PIECE = 25  # steps
FORMS = {
    "keras": compiled,
    "keras-xla": lambda: compiled(jit_compile=True),
    "keras-epoch": whole_epoch,
    "keras-train_on_batch": lambda: [by_batches(model.train_on_batch), None],
    "keras-fit": lambda: [fit, None],
}


def seconds(function, order):
    start = time.perf_counter()
    result = function(order)
    return time.perf_counter() - start, result


def epoch(order):
    """Where the optimizer's time is asked for, a piece of the epoch with it and the same without it take turns."""
    length = PIECE * size if without_optimizer else len(order)
    spent, rest, losses = [], [], []
    for start in range(0, len(order), length):
        piece = order[start : start + length]
        time_with, found = seconds(train, piece)
        spent.append(time_with)
        losses += found
        if without_optimizer:
            rest.append(seconds(without_optimizer, piece)[0])
    share = float(np.median(1 - np.array(rest) / np.array(spent))) if rest else None
    return {"seconds": sum(spent), "optimizerSeconds": share and share * sum(spent), "losses": losses}


def answer(result):
    print(json.dumps(result), flush=True)


def warm_up(functions, order):
    """Traces and compiles for both sizes of a batch, then puts everything back."""
    variables = model.variables + optimizer.variables
    before = [v.numpy() for v in variables]
    for function in functions:
        function(order[: 20 * size + len(order) % size])
    for variable, value in zip(variables, before):
        variable.assign(value)


def accuracy():
    return float(np.mean(np.argmax(model(test_x).numpy(), axis=1) == test_y))


train, without_optimizer = FORMS[sys.argv[2]]()
orders = np.fromfile(folder / "orders", np.uint32).reshape(-1, len(train_y))
warm_up([f for f in (train, without_optimizer) if f], orders[0])
answer({"versions": f"Python {sys.version.split()[0]}, Keras {keras.__version__}, TensorFlow {tf.__version__}"})
for order, _ in zip(orders, sys.stdin):
    answer(epoch(order) | {"accuracy": accuracy()})
