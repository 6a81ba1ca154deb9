"""optax under jax.jit, parameters and state donated."""

from functools import partial

import jax
import optax
from protocol import Instance, Task, inputs, serve


def rmsprop(rho: float, momentum: float, **options) -> optax.GradientTransformation:
    return optax.rmsprop(decay=rho, momentum=momentum or None, **options)  # 0 would be a slot


KINDS = {
    "sgd": optax.sgd,
    "sgd_momentum": optax.sgd,
    "rmsprop": rmsprop,
    "rmsprop_momentum": rmsprop,
    "rmsprop_centered": rmsprop,
    "rmsprop_centered_momentum": rmsprop,
    "adagrad": optax.adagrad,
    "adadelta": optax.adadelta,
    "adam": optax.adam,
    "adamw": optax.adamw,
    "adamax": optax.adamax,
    "nadam_constant": optax.nadam,
    "lion": partial(optax.lion, weight_decay=0),  # Keras has none by default
    "lamb": optax.lamb,  # Keras's without weight decay, which is a part of the direction here
    "schedule_free_adamw": optax.contrib.schedule_free_adamw,
}
NAMES = {"beta_1": "b1", "beta_2": "b2", "epsilon": "eps"}


def transformation_of(task: Task) -> optax.GradientTransformation:
    return KINDS[task["rule"]](**{NAMES.get(name, name): value for name, value in task["plain"].items()})


def variant_of(task: Task, transformation: optax.GradientTransformation):
    match task["variant"]:
        case "global_clipnorm":
            return optax.chain(optax.clip_by_global_norm(task["options"]["global_clipnorm"]), transformation)
        case "accumulation":
            return optax.MultiSteps(transformation, task["options"]["gradient_accumulation_steps"])
    return transformation


def make(task: Task, mode: str) -> Instance:
    values, gradients = inputs(task)
    parameters = [jax.numpy.array(value) for value in values]
    given = [jax.numpy.array(gradient) for gradient in gradients]
    transformation = variant_of(task, transformation_of(task))
    averages = [parameter.copy() for parameter in parameters] if task["variant"] == "ema" else None

    def update(parameters, state, averages, gradients):
        updates, state = transformation.update(gradients, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        if averages is not None:  # with Keras's default
            averages = optax.incremental_update(parameters, averages, 0.01)
        return parameters, state, averages

    compiled = jax.jit(update, donate_argnums=(0, 1, 2))
    now = [parameters, transformation.init(parameters), averages]

    def step() -> None:
        now[:] = compiled(*now, given)
        now[0][-1].block_until_ready()  # all outputs of a program are ready together

    return Instance(step=step, values=lambda: now[0], version=f"optax {optax.__version__}, jax {jax.__version__}")


serve(make)
