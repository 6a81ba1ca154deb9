"""Python's side of the checks of TensorBoard's files: Keras's own callback, and the readers of TensorFlow and of TensorBoard.

Numbers of logs come as text, for JSON has no NaN.
"""

import base64
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import tensorflow as tf

Request = dict[str, Any]
Reply = dict[str, Any]

WALL_TIME = 9  # bytes at the beginning of an event


def event_of(raw: bytes) -> dict[str, Any]:
    event = tf.compat.v1.Event.FromString(raw)
    assert abs(event.wall_time - tf.timestamp().numpy()) < 3600, f"wall time {event.wall_time}"
    scalars = [
        {
            "tag": value.tag,
            "step": event.step,
            "value": str(float(tf.make_ndarray(value.tensor))),
            "plugin": value.metadata.plugin_data.plugin_name,
        }
        for value in event.summary.value
    ]
    return {"bytes": raw[WALL_TIME:].hex(), "scalars": scalars}


def read(directory: Path) -> dict[str, Any]:
    """The events of each folder; TensorFlow's reader raises where a checksum is wrong."""
    files = sorted(directory.rglob("*.tfevents.*"))
    events = lambda path: [event_of(raw.numpy()) for raw in tf.data.TFRecordDataset(str(path))]
    return {str(path.parent.relative_to(directory)): events(path) for path in files}


def events(request: Request) -> Reply:
    return {"folders": read(Path(request["directory"]))}


def optimizer_of(text: str) -> keras.optimizers.Optimizer:
    optimizer = keras.optimizers.deserialize(json.loads(text))
    optimizer.build([keras.Variable([0.0], name="weight")])
    return optimizer


def keras_events(request: Request) -> Reply:
    """What Keras writes where its callback gets the same calls."""
    optimizer = optimizer_of(request["optimizer"])
    with tempfile.TemporaryDirectory() as directory:
        callback = keras.callbacks.TensorBoard(directory, write_graph=False, **request["options"])
        callback.set_model(SimpleNamespace(optimizer=optimizer))
        for hook, *args in request["calls"]:
            if hook == "iterations":
                optimizer.iterations.assign(args[0])
            else:
                numbers = lambda logs: {name: float(value) for name, value in logs.items()}
                getattr(callback, hook)(*[numbers(arg) if isinstance(arg, dict) else arg for arg in args])
        return {"folders": read(Path(directory))}


def shown(request: Request) -> Reply:
    """What TensorBoard finds in each folder."""
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
    from tensorboard.util.tensor_util import make_ndarray

    found = EventMultiplexer().AddRunsFromDirectory(request["directory"])
    found.Reload()
    scalars = {
        run: [
            {"tag": tag, "step": event.step, "value": str(float(make_ndarray(event.tensor_proto)))}
            for tag in tags["tensors"]
            for event in found.Tensors(run, tag)
        ]
        for run, tags in found.Runs().items()
    }
    return {"folders": scalars}


def record(request: Request) -> Reply:
    """TensorFlow's record of some data."""
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "record")
        with tf.io.TFRecordWriter(path) as writer:
            writer.write(base64.b64decode(request["data"]))
        return {"bytes": base64.b64encode(Path(path).read_bytes()).decode()}


answers = {function.__name__: function for function in (events, keras_events, shown, record)}
