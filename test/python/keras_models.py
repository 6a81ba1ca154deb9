"""Keras's side of the checks of its files: models that it saves, goes on with, and loads."""

import base64
import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Request = dict[str, Any]
Reply = dict[str, Any]


def encode(variables: list[keras.Variable]) -> list[str]:
    return [base64.b64encode(variable.numpy().astype("<f8").tobytes()).decode() for variable in variables]


def tensor_of(text: str, shape: list[int]) -> tf.Tensor:
    return tf.constant(np.frombuffer(base64.b64decode(text), "<f8").reshape(shape).astype("float32"))


def model_of(request: Request) -> keras.Model:
    """Weights of equal shapes, and some that are not trained."""
    layers = [
        keras.layers.Input((7,)),
        keras.layers.Dense(5, name="first"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dense(1, name="last"),
    ]
    keras.config.set_dtype_policy(request["policy"])
    try:
        keras.utils.set_random_seed(1)
        model = keras.Sequential(layers, name="model")
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.deserialize(json.loads(request["text"])), "mse")
    return model


def go_on(model: keras.Model, gradients: list[list[str]]) -> list[Reply]:
    """The variables after each step, and the optimizer's."""
    moments = []
    variables = model.trainable_variables
    for step in gradients:
        given = [tensor_of(g, v.shape) for g, v in zip(step, variables, strict=True)]
        model.optimizer.apply(given, variables)
        moments.append({"values": encode(variables), "state": encode(model.optimizer.variables)})
    return moments


def save_model(request: Request) -> Reply:
    """Trains, saves, and goes on as if nothing had been saved."""
    model = model_of(request)
    go_on(model, request["before"])
    model.save(request["path"])
    model.save_weights(request["weights"])
    return {"moments": go_on(model, request["after"])}


def load_model(request: Request) -> Reply:
    """Goes on with what a file has; a file of weights is loaded into the model of another file, or into a new one."""
    if request["path"] is None:
        model = model_of(request)
        model.optimizer.build(model.trainable_variables)
    else:
        model = keras.saving.load_model(request["path"])
    if request["weights"] is not None:
        model.load_weights(request["weights"])
    return {"moments": go_on(model, request["after"])}


answers = {function.__name__: function for function in (save_model, load_model)}
