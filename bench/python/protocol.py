"""The process of a Python framework: requests as lines of JSON on stdin, a reply to each on descriptor 3, as in bench/host.ts.

A peer is a file that calls serve() with a function make(task, mode) -> Instance.
"""

import base64
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Task = dict[str, Any]


class Instance(NamedTuple):
    step: Callable[[], None]  # one call; returns when it has ended
    values: Callable[[], list[np.ndarray]]  # the variables as they are now
    version: str


def pattern(length: int, phase: int) -> np.ndarray:
    """The numbers of bench/inputs.ts."""
    return ((2 * ((37 * np.arange(length) + phase) % 251) - 251) / 256).astype(np.float32)


def inputs(task: Task) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Variables, and gradients unless they are sparse."""
    shapes = task["shapes"]
    of = lambda i, phase: pattern(int(np.prod(shapes[i])), 3 * i + phase).reshape(shapes[i])
    gradients = [] if task["rows"] is not None else [of(i, 100) for i in range(len(shapes))]
    return [of(i, 0) for i in range(len(shapes))], gradients


BATCHES = 64


def rows_of(rows: int, batch: int, count: int) -> np.ndarray:
    """The rows of bench/inputs.ts."""
    return ((np.arange(min(rows, count), dtype=np.int64) + batch * count) * 7919) % rows


def sparse_inputs(task: Task) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """For every batch the rows and their gradients of every tensor."""

    def of(batch: int, i: int) -> tuple[np.ndarray, np.ndarray]:
        shape = task["shapes"][i]
        rows = rows_of(shape[0], batch, task["rows"])
        values = pattern(len(rows) * int(np.prod(shape[1:])), 3 * i + 100)
        return rows, values.reshape([len(rows), *shape[1:]])

    return [[of(batch, i) for i in range(len(task["shapes"]))] for batch in range(BATCHES)]


def in_turn(steps: list[Callable[[], None]]) -> Callable[[], None]:
    """A step that is another one at each call."""
    turns = itertools.cycle(steps)
    return lambda: next(turns)()


def seconds(instance: Instance, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        instance.step()
    return time.perf_counter() - start


def reply_to_lines(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answers until stdin ends."""
    with os.fdopen(3, "w", buffering=1) as replies:
        for line in sys.stdin:
            try:
                reply = answer(json.loads(line))
            except Exception as error:  # the parent says what it was about
                reply = {"error": f"{type(error).__name__}: {error}"}
            replies.write(json.dumps(reply) + "\n")


def serve(make: Callable[[Task, str], Instance]) -> None:
    """Runs a peer until stdin ends."""
    made: dict[str, tuple[Instance, int]] = {}

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        driver = request["driver"]
        match request["do"]:
            case "make":
                instance = make(request["task"], driver.partition(":")[2])
                made[driver] = (instance, request["task"]["calls"])
                return {"version": instance.version}
            case "run":
                instance, calls = made[driver]
                return {"seconds": seconds(instance, request["repetitions"] * calls)}
            case "values":
                flat = np.concatenate([np.ravel(value) for value in made[driver][0].values()])
                return {"values": base64.b64encode(flat.astype("<f4").tobytes()).decode()}
            case "drop":
                del made[driver]
                return {}
            case unknown:
                raise ValueError(f"unknown request {unknown}")

    reply_to_lines(answer)
