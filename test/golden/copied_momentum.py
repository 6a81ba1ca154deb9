"""ScheduleFreeAdamW as Keras means it.

On TensorFlow and torch, `momentum_old` in its update_step is no copy, so that it changes before it is read; on JAX it is one
(jax-backend.json).
"""

import inspect


def copy_momentum():
    """Puts a copy in that place. Fails where Keras has done so itself."""
    from keras.src.optimizers import schedule_free_adamw as module

    aliased, copied = "momentum_old = momentum.value", "momentum_old = ops.copy(momentum)"
    text = inspect.cleandoc("\n" + inspect.getsource(module.ScheduleFreeAdamW.update_step))
    assert aliased in text
    exec(text.replace(aliased, copied), vars(module))
    module.ScheduleFreeAdamW.update_step = vars(module)["update_step"]
