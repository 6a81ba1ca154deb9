"""What a step of AdamW takes with PyTorch's DistributedDataParallel on Gloo: on its own, or with ZeroRedundancyOptimizer.

Usage: python step.py RANKS PARAMETERS...; rank 0 prints the lines that rank.mjs prints, without the bytes that are sent. A step is
backward, whose gradients are the numbers that a buffer has, sums, and update: as much as rank.mjs does, and one pass over the gradients.
"""
import json
import os
import statistics
import sys
import tempfile
import time

import torch
import torch.distributed as dist
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

TENSORS = 8


class Numbers(torch.nn.Module):
    def __init__(self, parameters):
        super().__init__()
        numbers = torch.sin(torch.arange(parameters // TENSORS, dtype=torch.float32))
        self.tensors = torch.nn.ParameterList([torch.nn.Parameter(numbers.clone()) for _ in range(TENSORS)])
        self.gradients = [numbers.clone() for _ in range(TENSORS)]

    def forward(self):
        return sum(torch.dot(p, g) for p, g in zip(self.tensors, self.gradients))


def step(mode, parameters):
    torch.manual_seed(0)
    model = Numbers(parameters)
    wrapped = DistributedDataParallel(model)
    if mode == 'sharded':
        optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, lr=0.001, foreach=True)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.001, foreach=True)
    times = []
    count = max(5, min(200, round(2e7 / parameters)))
    for i in range(3 + count):
        optimizer.zero_grad(set_to_none=False)
        began = time.perf_counter()
        wrapped().backward()
        optimizer.step()
        times.append(time.perf_counter() - began)
    local = optimizer.optim if mode == 'sharded' else optimizer
    state = sum(x.numel() * x.element_size() for s in local.state.values() for x in s.values() if torch.is_tensor(x))
    if dist.get_rank() == 0:
        ms = 1000 * statistics.median(times[3:])
        print(json.dumps({'what': 'step', 'mode': mode, 'parameters': parameters, 'ms': ms, 'state': state}), flush=True)


def run(rank, size, store, works):
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    dist.init_process_group('gloo', rank=rank, world_size=size, store=dist.FileStore(store, size))
    for parameters in works:
        for mode in ('replicated', 'sharded'):
            step(mode, parameters)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == '__main__':
    size, *works = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            run, args=(size, os.path.join(folder, 'store'), works), nprocs=size, start_method='fork'
        )
