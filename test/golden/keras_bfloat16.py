"""Writes keras-bfloat16.keras: a small model of bfloat16 after one step, and its numbers beside it. Keras 3.15.1, TensorFlow 2.21.0."""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

here = Path(__file__).parent
keras.utils.set_random_seed(1)
keras.config.set_dtype_policy("bfloat16")
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(0.25, momentum=0.5), "mse")
weights = model.trainable_variables
model.optimizer.apply([tf.fill(v.shape, tf.cast(0.3, v.dtype)) for v in weights], weights)
model.save(here / "keras-bfloat16.keras")


def numbers(variables: list[keras.Variable]) -> list[list[float]]:
    return [np.ravel(variable.numpy().astype("float64")).tolist() for variable in variables]


record = {"weights": numbers(weights), "optimizerVariables": numbers(model.optimizer.variables)}
(here / "keras-bfloat16.json").write_text(json.dumps(record) + "\n")
