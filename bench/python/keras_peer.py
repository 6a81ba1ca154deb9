"""Keras on TensorFlow: eager, tf.function, and tf.function with jit_compile."""

import keras
import tensorflow as tf
from protocol import Instance, Task, in_turn, inputs, serve, sparse_inputs


CLASSES_WITHOUT_OURS = {"schedule_free_adamw_aliased": "ScheduleFreeAdamW"}


def make(task: Task, mode: str) -> Instance:
    values, gradients = inputs(task)
    variables = [keras.Variable(value) for value in values]
    given = [tf.constant(gradient) for gradient in gradients]
    name = task["className"] or CLASSES_WITHOUT_OURS[task["rule"]]
    optimizer = getattr(keras.optimizers, name)(**task["options"])
    optimizer.build(variables)

    def apply(*gradients):
        optimizer.apply(gradients, variables)

    def slices(i: int, rows, values) -> tf.IndexedSlices:
        return tf.IndexedSlices(tf.constant(values), tf.constant(rows, tf.int32), tf.constant(task["shapes"][i], tf.int32))

    step = apply if mode == "eager" else tf.function(apply, jit_compile=mode == "jit")
    steps = [lambda: step(*given)]
    if task["rows"] is not None:
        batches = [[slices(i, *slice) for i, slice in enumerate(batch)] for batch in sparse_inputs(task)]
        steps = [lambda batch=batch: step(*batch) for batch in batches]
    return Instance(
        step=in_turn(steps),
        values=lambda: [variable.numpy() for variable in variables],
        version=f"keras {keras.__version__} on tensorflow {tf.__version__}",
    )


serve(make)
