"""PyTorch's own optimizers, foreach and fused."""

import torch
from protocol import Instance, Task, inputs, serve


def optimizer_of(task: Task, parameters: list[torch.Tensor], mode: str) -> torch.optim.Optimizer:
    options, rule = task["plain"], task["rule"]
    shared = {"lr": options["learning_rate"], mode: True}
    if rule in ("sgd", "sgd_momentum"):
        return torch.optim.SGD(parameters, momentum=options.get("momentum", 0), **shared)
    shared |= {"betas": (options["beta_1"], options["beta_2"]), "eps": options["epsilon"]}
    if rule == "nadam":  # Keras has no decay of the momentum's schedule
        return torch.optim.NAdam(parameters, momentum_decay=1.0, **shared)
    if rule == "adamw":
        return torch.optim.AdamW(parameters, weight_decay=options["weight_decay"], **shared)
    return torch.optim.Adam(parameters, **shared)


def make(task: Task, mode: str) -> Instance:
    torch.set_num_threads(task["threads"])
    values, gradients = inputs(task)
    parameters = [torch.tensor(value, requires_grad=True) for value in values]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.tensor(gradient)
    optimizer = optimizer_of(task, parameters, mode)
    data = [parameter.detach() for parameter in parameters]
    averages = [value.clone() for value in data]

    def clipped() -> None:
        torch.nn.utils.clip_grad_norm_(parameters, task["options"]["global_clipnorm"], foreach=True)
        optimizer.step()

    def averaged() -> None:
        optimizer.step()
        torch._foreach_lerp_(averages, data, 0.01)  # Keras's default

    steps = {"plain": optimizer.step, "global_clipnorm": clipped, "ema": averaged}
    return Instance(
        step=steps[task["variant"]],
        values=lambda: [value.numpy() for value in data],
        version=f"torch {torch.__version__}",
    )


serve(make)
