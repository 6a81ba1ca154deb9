"""Writes torch-options.json: PyTorch's optimizers, and ours with the options that docs/keras.md says are the same.

    python test/golden/torch_options.py

Twelve steps in float64 on four ones. An eps of 1e-150 keeps it out of the numbers where PyTorch has it in another place.
"""

import json
import pathlib

import torch

tiny, rate = 1e-150, 0.0625
decayed = {"class_name": "InverseTimeDecay", "config": {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": 0.25}}
cases = [
    ("SGD", dict(lr=rate), dict(learning_rate=rate)),
    ("SGD", dict(lr=rate, momentum=0.75), dict(learning_rate=rate, momentum=0.75)),
    ("SGD", dict(lr=rate, momentum=0.75, nesterov=True), dict(learning_rate=rate, momentum=0.75, nesterov=True)),
    ("RMSprop", dict(lr=rate, eps=tiny), dict(learning_rate=rate, rho=0.99, epsilon=0)),
    ("RMSprop", dict(lr=rate, alpha=0.75, momentum=0.5, centered=True, eps=tiny), dict(learning_rate=rate, rho=0.75, momentum=0.5, centered=True, epsilon=0)),
    ("Adagrad", dict(lr=rate, eps=tiny), dict(learning_rate=rate, initial_accumulator_value=0, epsilon=0)),
    ("Adagrad", dict(lr=rate, eps=tiny, lr_decay=0.25, initial_accumulator_value=0.5), dict(learning_rate=decayed, initial_accumulator_value=0.5, epsilon=0)),
    ("Adadelta", dict(), dict(learning_rate=1, rho=0.9, epsilon=1e-6)),
    ("Adamax", dict(eps=tiny), dict(learning_rate=2e-3, epsilon=0)),
]
gradients = [[(37 * t + 101 * i) % 251 / 128 - 0.9765625 for i in range(4)] for t in range(1, 13)]


def run(name, args):
    p = torch.ones(4, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([p], **args)
    rows = []
    for gradient in gradients:
        p.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        rows.append(p.tolist())
    return rows


results = [{"class": name, "args": args, "ours": ours, "rows": run(name, args)} for name, args, ours in cases]
golden = {"torch": torch.__version__, "gradients": gradients, "cases": results}
(pathlib.Path(__file__).parent / "torch-options.json").write_text(json.dumps(golden) + "\n")
