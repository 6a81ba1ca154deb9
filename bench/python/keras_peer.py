"""Keras on TensorFlow: eager, tf.function, and tf.function with jit_compile."""

import keras
import tensorflow as tf
from protocol import Instance, Task, inputs, serve


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

    step = apply if mode == "eager" else tf.function(apply, jit_compile=mode == "jit")
    return Instance(
        step=lambda: step(*given),
        values=lambda: [variable.numpy() for variable in variables],
        version=f"keras {keras.__version__} on tensorflow {tf.__version__}",
    )


serve(make)
