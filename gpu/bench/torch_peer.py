"""PyTorch's optimizers on a GPU, for gpu/bench/torch.ts: requests as lines of JSON on stdin, a reply to each on descriptor 3.

hello                                                  -> torch, cuda, device
make name optimizer mode shapes clip zeros             -> nothing: fused or foreach, or that captured in a CUDA graph
run name repetitions                                   -> seconds of one on the device and on the host's clock
drop name                                              -> nothing
"""

import json
import os
import sys
import time

import torch

DEVICE = sys.argv[1] if len(sys.argv) > 1 else "cuda"
CLASSES = {"AdamW": (torch.optim.AdamW, "fused"), "Nadam": (torch.optim.NAdam, "foreach")}
WARM_UP = 3  # steps before a capture


class Lane:
    def __init__(self, request):
        kind, way = CLASSES[request["optimizer"]]
        self.graph = None
        captured = request["mode"] == "graph"
        self.parameters = []
        for shape in request["shapes"]:
            parameter = torch.zeros(shape, device=DEVICE, requires_grad=True)
            parameter.grad = torch.zeros_like(parameter)
            if not request["zeros"]:
                parameter.grad.uniform_(-1, 1)
            self.parameters.append(parameter)
        self.clip = request["clip"]
        self.optimizer = kind(self.parameters, lr=0.001, **{way: True}, **({"capturable": True} if captured else {}))
        if captured:
            self.capture()

    def step(self):
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.optimizer.step()

    def capture(self):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()

    def run(self, repetitions):
        once = self.graph.replay if self.graph is not None else self.step
        if DEVICE == "cpu":
            start = time.perf_counter()
            for _ in range(repetitions):
                once()
            wall = time.perf_counter() - start
            return {"gpu": wall / repetitions, "wall": wall / repetitions}
        torch.cuda.synchronize()
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start = time.perf_counter()
        first.record()
        for _ in range(repetitions):
            once()
        last.record()
        last.synchronize()
        wall = time.perf_counter() - start
        return {"gpu": first.elapsed_time(last) / 1000 / repetitions, "wall": wall / repetitions}


lanes = {}


def hello(_):
    name = "cpu" if DEVICE == "cpu" else torch.cuda.get_device_name()
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "device": name}


def make(request):
    lanes[request["name"]] = Lane(request)
    return {}


def run(request):
    return lanes[request["name"]].run(request["repetitions"])


def drop(request):
    lanes.pop(request["name"], None)
    if DEVICE != "cpu":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
    return {}


ANSWERS = {"hello": hello, "make": make, "run": run, "drop": drop}

with os.fdopen(3, "w", buffering=1) as replies:
    for line in sys.stdin:
        try:
            request = json.loads(line)
            reply = ANSWERS[request["do"]](request)
        except Exception as error:  # the parent says what it was about
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
