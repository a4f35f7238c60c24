# SPDX-License-Identifier: Apache-2.0
"""Data-parallel training over processes of one thread each: gradients are averaged through shared memory.

On a few CPU cores this beats one process with several threads by far for networks as small as the demo's.
Start with OPENBLAS_NUM_THREADS=1 and, where there is one, tcmalloc in LD_PRELOAD.
"""

from __future__ import annotations

import multiprocessing.synchronize
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp


class Worker:
    """One of the processes: exchanges gradients and a clock with the others."""

    def __init__(self, rank: int, gradients: torch.Tensor, clock: torch.Tensor, barrier: multiprocessing.synchronize.Barrier):
        self.rank = rank
        self.count = len(gradients)
        self._gradients = gradients
        self._clock = clock
        self._barrier = barrier

    def exchange(self, parameters: list[torch.nn.Parameter], elapsed: float) -> tuple[float, float]:
        """Averages the gradients of all processes, clips their norm to 1; returns the norm and rank 0's clock."""
        torch.cat(
            [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters],
            out=self._gradients[self.rank],
        )
        if self.rank == 0:
            self._clock[0] = elapsed
        self._barrier.wait()
        total = self._gradients.mean(0)
        clock = float(self._clock[0])
        self._barrier.wait()
        norm = float(total.norm())
        total *= min(1.0, 1.0 / (norm + 1e-6))
        offset = 0
        for p in parameters:
            p.grad = total[offset : offset + p.numel()].view_as(p)
            offset += p.numel()
        return norm, clock


def _entry(rank: int, function: Callable, gradients, clock, barrier, args: tuple) -> None:
    os.setsid()  # Linux shares a busy CPU between sessions first, so workers of one session would starve
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    function(Worker(rank, gradients, clock, barrier), *args)


def launch(function: Callable, parameter_count: int, processes: int, *args) -> None:
    """Runs function(worker, *args) in that many processes; raises if one of them fails."""
    context = mp.get_context("spawn")
    gradients = torch.zeros(processes, parameter_count).share_memory_()
    clock = torch.zeros(1, dtype=torch.float64).share_memory_()
    barrier = context.Barrier(processes, timeout=600)
    workers = [
        context.Process(target=_entry, args=(rank, function, gradients, clock, barrier, args)) for rank in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a training process failed")


class Average:
    """Exponential moving average of parameters, with a short warm-up."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], decay: float = 0.999):
        self.decay = decay
        self.steps = 0
        self.values = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def update(self, parameters: list[torch.nn.Parameter]) -> None:
        self.steps += 1
        decay = min(self.decay, (self.steps + 1) / (self.steps + 20))
        torch._foreach_mul_(self.values, decay)
        torch._foreach_add_(self.values, [p.detach() for p in parameters], alpha=1 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        for value, parameter in zip(self.values, parameters):
            parameter.copy_(value)


class State:
    """What a training run goes on from when it is started again: a file that is replaced as a whole."""

    def __init__(self, file: Path, average: Average, **parts: torch.nn.Module | torch.optim.Optimizer):
        self._file = file
        self._average = average
        self._parts = parts

    def resume(self) -> dict[str, Any]:
        """Gives parts and average what was saved; returns the counters that were saved with them, none where nothing was."""
        if not self._file.exists():
            return {}
        state = torch.load(self._file, weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(state.pop(name))
        self._average.values, self._average.steps = state.pop("average"), state.pop("average_steps")
        return state

    def save(self, **counters: float) -> None:
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        new = self._file.with_suffix(".tmp")
        torch.save(parts | {"average": self._average.values, "average_steps": self._average.steps} | counters, new)
        new.rename(self._file)
