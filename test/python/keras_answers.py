"""Keras's side of the Python checks, on TensorFlow, eager: requests and replies as in bench/python/protocol.py.

test/python/keras.ts starts it and says what the requests are. Arrays are base64 of float64, little-endian.
"""

import base64
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from copied_momentum import copy_momentum
from keras.src.backend import name_scope
from keras.src.optimizers import ALL_OBJECTS_DICT
from keras.src.utils.naming import reset_uids
from keras_models import answers as keras_models_answers
from progress_bar_answers import answers as progress_bar_answers
from protocol import reply_to_lines
from tensor_board_answers import answers as tensor_board_answers

copy_momentum()
ALL_OBJECTS_DICT["lamb"] = keras.optimizers.Lamb  # which Keras forgets there: get("lamb") raises, deserialize gives a string
modules = {"optimizers": keras.optimizers, "schedules": keras.optimizers.schedules}

Request = dict[str, Any]
Reply = dict[str, Any]


def decode(text: str, shape: list[int]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f8").reshape(shape)


def encode(variables: list[keras.Variable]) -> list[str]:
    return [base64.b64encode(variable.numpy().astype("<f8").tobytes()).decode() for variable in variables]


def known(request: Request) -> Reply:
    found = {kind: [name for name in request[kind] if hasattr(module, name)] for kind, module in modules.items()}
    return found | {"version": f"keras {keras.__version__} on tensorflow {tf.__version__}"}


def default(request: Request) -> Reply:
    return {"form": keras.optimizers.serialize(keras.optimizers.get(request["name"]))}


def reread(request: Request) -> Reply:
    module = modules[request["kind"]]
    return {"form": module.serialize(module.deserialize(json.loads(request["text"])))}


def variable_of(sent: dict[str, Any]) -> keras.Variable:
    scope, name = sent["path"].split("/")
    with keras.name_scope(scope):
        return keras.Variable(decode(sent["values"], sent["shape"]).astype("float32"), name=name)


def gradient_of(sent: str | dict[str, Any], variable: keras.Variable) -> tf.Tensor | tf.IndexedSlices:
    if isinstance(sent, str):
        return tf.constant(decode(sent, variable.shape).astype("float32"))
    values = decode(sent["values"], sent["shape"]).astype("float32")
    return tf.IndexedSlices(tf.constant(values), tf.constant(sent["indices"]), tf.constant(variable.shape))


def train(request: Request) -> Reply:
    optimizer = keras.optimizers.deserialize(json.loads(request["text"]))
    variables = [variable_of(v) for v in request["variables"]]
    with name_scope(optimizer.name, caller=optimizer):  # as apply does
        optimizer.build(variables)
    if request["state"] is not None:
        assert len(request["state"]) == len(optimizer.variables)
        weights = [decode(v["values"], v["shape"]) for v in request["state"]]
        if hasattr(optimizer, "inner_optimizer"):  # whose set_weights forgets the inner variables
            for variable, weight in zip(optimizer.variables, weights):
                variable.assign(weight)
        else:
            optimizer.set_weights(weights)
    moments = []
    for gradients in request["gradients"]:
        rate = float(getattr(optimizer, "learning_rate", 0))  # a MultiOptimizer has none
        optimizer.apply([gradient_of(g, v) for g, v in zip(gradients, variables)], variables)
        moments.append({"rate": rate, "values": encode(variables), "state": encode(optimizer.variables)})
    optimizer.finalize_variable_values(variables)
    kept = [{"path": v.path, "shape": list(v.shape), "dtype": v.dtype} for v in optimizer.variables]
    return {"moments": moments, "finalized": encode(variables), "kept": kept}


def open_file(request: Request) -> Reply:
    """What Python's safetensors finds in a file, and the hash that it should have."""
    import safetensors  # which may be missing, see has_package

    with safetensors.safe_open(request["path"], framework="numpy") as file:
        metadata = file.metadata()
    content = Path(request["path"]).read_bytes()
    found = {
        name: {"dtype": tensor["dtype"], "shape": tensor["shape"], "bytes": base64.b64encode(tensor["data"]).decode()}
        for name, tensor in safetensors.deserialize(content)
    }
    zeroed = content.replace(metadata["sha256"].encode(), b"0" * 64, 1)
    return {"metadata": metadata, "tensors": found, "sha256": hashlib.sha256(zeroed).hexdigest()}


def has_package(request: Request) -> Reply:
    return {"known": importlib.util.find_spec(request["name"]) is not None}


answers = {function.__name__: function for function in (known, default, reread, train, open_file, has_package)}
answers |= progress_bar_answers | tensor_board_answers | keras_models_answers


def answer(request: Request) -> Reply:
    reset_uids()  # names are numbered anew
    return answers[request["do"]](request)


reply_to_lines(answer)
