"""optax under jax.jit, parameters and state donated."""

import jax
import optax
from protocol import Instance, Task, inputs, serve


def transformation_of(task: Task) -> optax.GradientTransformation:
    options, rule = task["plain"], task["rule"]
    rate = options["learning_rate"]
    if rule in ("sgd", "sgd_momentum"):
        return optax.sgd(rate, momentum=options.get("momentum"))
    moments = {"b1": options["beta_1"], "b2": options["beta_2"], "eps": options["epsilon"]}
    if rule == "nadam_constant":
        return optax.nadam(rate, **moments)
    if rule == "adamw":
        return optax.adamw(rate, weight_decay=options["weight_decay"], **moments)
    return optax.adam(rate, **moments)


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
