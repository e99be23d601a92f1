#!/usr/bin/env bash
# PyTorch 2.13.0 on a CPU: torch.set_num_threads in one thread of a program changes the number of some other threads
# and not of others. What decides is whether the other thread has already asked for its number or computed.
#
# Seen with torch 2.13.0 (x86_64, Linux, OpenMP): the main thread sets 3, then a second thread sets 5. A thread that
# had asked for its number before still has 3. The main thread, which had set 3 itself but never asked, has 5, and so
# has every thread that starts later. So a server that gives each request "its" number of threads gives a number to
# some of the others as well, and a number that a thread has set may be gone before its first computation.
# What to do: call torch.get_num_threads() once in each thread right after setting, and set the number in every
# thread that computes instead of relying on what another one has set.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import threading

import torch

numbers = {}


def ask(name):
    numbers[name] = torch.get_num_threads()


def run(action, *arguments):
    thread = threading.Thread(target=action, args=arguments)
    thread.start()
    thread.join()


def ask_twice(started, resume):
    ask("early thread, before")
    started.set()
    resume.wait()
    ask("early thread, after")


started, resume = threading.Event(), threading.Event()
torch.set_num_threads(3)
early = threading.Thread(target=ask_twice, args=(started, resume))
early.start()
started.wait()
run(torch.set_num_threads, 5)
ask("main thread, which set 3")
run(ask, "later thread")
resume.set()
early.join()
print(f"torch {torch.__version__}: {numbers}")
expected = {
    "early thread, before": 3,
    "main thread, which set 3": 5,
    "later thread": 5,
    "early thread, after": 3,
}
if numbers != expected:
    raise SystemExit("the behavior has changed")
print("as described: a number set in another thread replaces that of threads that had not asked for theirs")
PYTHON
