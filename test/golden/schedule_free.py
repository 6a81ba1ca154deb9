"""Writes schedulefreeadamw-meant.json: the dense cases of schedulefreeadamw.json as Keras means them.

    python test/golden/schedule_free.py

float32 is Keras on TensorFlow, mended by copied_momentum.py, and exact64 is Keras on JAX in float64, where every Python number
enters as a double. A process for each, since Keras chooses both for the whole process.
"""

import json
import math
import os
import pathlib
import subprocess
import sys

from copied_momentum import copy_momentum

folder = pathlib.Path(__file__).parent
backends = {"float32": "tensorflow", "float64": "jax"}


def number(x):
    """As JSON can have it: the shortest decimal that gives x back."""
    return float(str(x)) if x == x and abs(x) != float("inf") else str(x).replace("nan", "NaN").replace("inf", "Infinity")


def cosine_decay(step, initial_learning_rate, decay_steps, alpha, warmup_target, warmup_steps, **_):
    """CosineDecay as Python computes it: Keras has float32 in it whatever the dtype."""
    if step < warmup_steps:
        return initial_learning_rate + (warmup_target - initial_learning_rate) * step / warmup_steps
    done = min(step - warmup_steps, decay_steps) / decay_steps
    return warmup_target * ((1 - alpha) * 0.5 * (1 + math.cos(math.pi * done)) + alpha)


def run(case, problem, keras, np, dtype):
    args = dict(case["args"])
    if isinstance(args.get("learning_rate"), dict):
        schedule = keras.optimizers.schedules.deserialize(args["learning_rate"])
        exact = lambda: np.float64(cosine_decay(int(optimizer._iterations), **vars(schedule)))
        args["learning_rate"] = schedule if dtype == "float32" else exact
    optimizer = keras.optimizers.ScheduleFreeAdamW(**args)
    variables = [
        keras.Variable(np.array(v["initial"], dtype).reshape(v["shape"]), dtype=dtype, name=v["name"])
        for v in problem["variables"]
    ]

    def value(variable):
        return [number(x) for x in np.asarray(variable.value).ravel()]

    result = {"at": [], "params": [], "iterations": [], "learningRate": []}
    for t, gradients in enumerate(problem["steps"], 1):
        result["learningRate"].append(number(np.asarray(optimizer.learning_rate)[()]))
        optimizer.apply([np.array([float(x) for x in g], dtype).reshape(v.shape) for g, v in zip(gradients, variables)], variables)
        result["at"].append(t)
        result["params"].append([value(v) for v in variables])
        result["iterations"].append(int(optimizer.iterations))
    result["variables"] = [
        {"path": v.path, "shape": list(v.shape), "dtype": v.dtype, "value": value(v)} for v in optimizer.variables
    ]
    if case.get("finalize"):
        optimizer.finalize_variable_values(variables)
        result["finalized"] = [value(v) for v in variables]
    return result


def dense(golden):
    return [case for case in golden["cases"] if "steps" not in case]


def run_all(golden, dtype):
    import keras
    import numpy as np

    copy_momentum()
    keras.config.set_floatx(dtype)
    return [run(case, golden["problems"][case["problem"]], keras, np, dtype) for case in dense(golden)]


def runs_of(dtype):
    environment = {**os.environ, "KERAS_BACKEND": backends[dtype], "JAX_ENABLE_X64": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return json.loads(subprocess.check_output([sys.executable, __file__, dtype], env=environment))


golden = json.loads((folder / "schedulefreeadamw.json").read_text())
if len(sys.argv) > 1:
    print(json.dumps(run_all(golden, sys.argv[1])))
else:
    for case, float32, exact64 in zip(dense(golden), runs_of("float32"), runs_of("float64")):
        case.pop("float64")
        case.update(float32=float32, exact64=exact64)
    golden.update(cases=dense(golden), execution="float32: TensorFlow backend with a copy of the momentum; exact64: JAX backend")
    golden["problems"].pop("emb")
    (folder / "schedulefreeadamw-meant.json").write_text(json.dumps(golden) + "\n")
