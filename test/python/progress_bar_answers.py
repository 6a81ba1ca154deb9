"""Python's side of the checks of progress bars: Keras's own on a terminal, with a clock of ours."""

import contextlib
import io
from typing import Any
from unittest import mock

from keras.src.utils import progbar

Request = dict[str, Any]
Reply = dict[str, Any]

START = 1024.0  # seconds


def bar(request: Request) -> Reply:
    out = io.StringIO()
    with mock.patch.object(progbar.time, "time") as time, contextlib.redirect_stdout(out):
        time.return_value = START
        shown = progbar.Progbar(request["target"], verbose=request["verbose"], unit_name="step", stateless_metrics=set())
        shown._dynamic_display = True
        for update in request["updates"]:
            time.return_value = START + update["time"]
            if update["done"]:  # as ProgbarLogger does
                shown.target = update["current"]
            logs = [(name, float(value)) for name, value in update["logs"].items()]
            shown.update(update["current"], logs, finalize=update["done"])
    return {"text": out.getvalue()}


answers = {"bar": bar}
