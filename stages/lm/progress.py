"""What a training shows while it runs. An edit here changes no result."""

import time
from typing import Any

from runtime.progress import progress_bar

from tqdm import tqdm
from transformers import TrainerCallback


class Progress(TrainerCallback):
    """A progress bar with the time left, losses in nats a token and tokens per second."""

    def __init__(self, name: str, tokens_per_step: float) -> None:
        self.name, self.tokens_per_step = name, tokens_per_step
        self.losses: dict[str, str] = {}
        self.bar = tqdm(disable=True)  # until the training begins

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started, self.first_step = time.perf_counter(), state.global_step
        if self.first_step:
            print(
                f"{self.name}: goes on from step {self.first_step} of {state.max_steps}", flush=True
            )
        self.bar = progress_bar(state.max_steps, self.name, "step", done=self.first_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._show(state.global_step - self.first_step)
        self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        for key, title in (("loss", "loss"), ("eval_loss", "validation")):
            if key in logs:
                self.losses[title] = f"{float(logs[key]):.3f}"
        self._show(state.global_step - self.first_step)

    def _show(self, steps: int) -> None:
        """Put losses and speed, after `steps` steps of this process, where the bar shows them next."""
        rate = self.tokens_per_step * steps / (time.perf_counter() - self.started)
        self.bar.set_postfix({**self.losses, "tokens/s": f"{rate:.0f}"}, refresh=False)
