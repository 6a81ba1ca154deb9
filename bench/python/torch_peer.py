"""PyTorch's own optimizers, foreach and fused."""

import torch
from protocol import Instance, Task, in_turn, inputs, serve, sparse_inputs


CLASSES = {
    "sgd": torch.optim.SGD,
    "sgd_momentum": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "rmsprop_momentum": torch.optim.RMSprop,
    "rmsprop_centered": torch.optim.RMSprop,
    "rmsprop_centered_momentum": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "adafactor": torch.optim.Adafactor,
}
NAMES = {"learning_rate": "lr", "epsilon": "eps", "beta_2_decay": "beta2_decay", "clip_threshold": "d"}


class NewtonSchulz(torch.optim.Optimizer):
    """Muon in the dtype of its parameters."""

    def __init__(self, parameters: list[torch.Tensor], lr: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                m.mul_(group["momentum"]).add_(p.grad)
                x = p.grad + group["momentum"] * m
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    a = x @ x.T
                    b = torch.addmm(a, a, a, beta=-4.775, alpha=2.0315)
                    x = torch.addmm(x, b, x, beta=3.4445)
                p.sub_(x, alpha=group["lr"] * max(p.shape) ** 0.5 * 0.2)


def muon_of(task: Task, parameters: list[torch.Tensor], mode: str) -> torch.optim.Optimizer:
    options = {"lr": task["plain"]["learning_rate"], "momentum": task["plain"]["momentum"]}
    if mode == "newton_schulz":
        return NewtonSchulz(parameters, **options)
    return torch.optim.Muon(parameters, **options, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")


def optimizer_of(task: Task, parameters: list[torch.Tensor], mode: str) -> torch.optim.Optimizer:
    if task["rule"] == "muon":
        return muon_of(task, parameters, mode)
    sparse = task["rows"] is not None
    kind = torch.optim.SparseAdam if sparse and task["rule"] == "adam" else CLASSES[task["rule"]]
    options = {NAMES.get(name, name): value for name, value in task["plain"].items()}
    if "beta_1" in options:
        options["betas"] = (options.pop("beta_1"), options.pop("beta_2"))
    if kind is torch.optim.RMSprop:
        options["alpha"] = options.pop("rho")
    if kind is torch.optim.Adafactor:  # the first is a lower limit there, and added to squares in Keras
        options["eps"] = (options.pop("epsilon_1"), options.pop("epsilon_2"))
    if kind is torch.optim.NAdam:  # Keras has no decay of the momentum's schedule
        options["momentum_decay"] = 1.0
    return kind(parameters, **options, **({} if sparse else {mode: True}))


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

    def sparse(batch) -> None:
        for parameter, gradient in zip(parameters, batch):
            parameter.grad = gradient
        optimizer.step()

    if task["rows"] is not None:  # as nn.Embedding(sparse=True) leaves them
        batches = [
            [
                torch.sparse_coo_tensor(torch.tensor(rows)[None], torch.tensor(values), data[i].shape)
                for i, (rows, values) in enumerate(batch)
            ]
            for batch in sparse_inputs(task)
        ]
        return Instance(
            step=in_turn([lambda batch=batch: sparse(batch) for batch in batches]),
            values=lambda: [value.numpy() for value in data],
            version=f"torch {torch.__version__}",
        )

    steps = {"plain": optimizer.step, "global_clipnorm": clipped, "ema": averaged}
    return Instance(
        step=steps[task["variant"]],
        values=lambda: [value.numpy() for value in data],
        version=f"torch {torch.__version__}",
    )


serve(make)
