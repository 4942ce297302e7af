"""Forks processes that run the `diffloom` command, torch already imported: a kill test starts dozens of them.

Reads one JSON object in a line: `{"args": [...], "errors": path}` starts one and answers its process id,
`{"wait": pid}` answers its exit code, negative for the signal that ended it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import torch

from diffloom.cli import main
from diffloom.plugins import load_plugins
from diffloom.training import train  # takes long to import: it brings torch and everything around it


def run(args: list[str], errors: str) -> None:
    """In the child: the command, its output in a file, as a shell would start it."""
    file = os.open(errors, os.O_WRONLY | os.O_CREAT, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["diffloom", *args]
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


assert callable(train)
load_plugins((sys.argv[1],))
weight = torch.nn.Parameter(torch.zeros(1))
weight.grad = torch.zeros(1)
torch.optim.AdamW([weight], fused=True).step()  # imports more, the first time
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        run(order["args"], order["errors"])
    print(pid, flush=True)
