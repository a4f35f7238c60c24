# SPDX-License-Identifier: Apache-2.0
"""A training run that is started again goes on as if it had not been stopped."""

from __future__ import annotations

import torch

from asg4j_demo.parallel import Average, State


class Run:
    """A network that learns one number a step."""

    def __init__(self, folder):
        torch.manual_seed(0)
        self.net = torch.nn.Linear(2, 1)
        self.average = Average(self.net.parameters())
        self.optimizer = torch.optim.AdamW(self.net.parameters(), 0.1)
        self.state = State(folder / "run.state.pt", self.average, net=self.net, optimizer=self.optimizer)
        self.done = self.state.resume()

    def step(self, number: int) -> None:
        self.optimizer.zero_grad()
        (self.net(torch.ones(2)) - number).square().sum().backward()
        self.optimizer.step()
        self.average.update(list(self.net.parameters()))

    def values(self) -> list[torch.Tensor]:
        return [*(p.detach() for p in self.net.parameters()), *self.average.values]


def test_a_run_goes_on_where_it_was_saved(tmp_path):
    whole = Run(tmp_path)
    assert whole.done == {}
    for number in range(6):
        whole.step(number)
        if number == 2:
            whole.state.save(step=3, elapsed=1.5)
    again = Run(tmp_path)
    assert again.done == {"step": 3, "elapsed": 1.5}
    assert again.average.steps == 3
    for number in range(3, 6):
        again.step(number)
    for expected, found in zip(whole.values(), again.values(), strict=True):
        assert torch.equal(expected, found)
    assert [file.name for file in tmp_path.iterdir()] == ["run.state.pt"]
