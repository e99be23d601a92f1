#!/usr/bin/env bash
# Optuna 5.0.0: a trial that was queued (Study.enqueue_trial) in an SQLite storage is run twice if two processes ask at
# the same moment; the second one to finish fails with "Cannot tell a COMPLETE trial".
#
# Study.ask looks for a waiting trial and sets its state to RUNNING. set_trial_state_values is documented to return False
# if another process has already done so. RDBStorage reads the state in one statement ("for update", which SQLite does
# not have) and writes it in a second one that does not ask for the old state: between the two, another process can take
# the same trial, and both get True.
# Seen with optuna 5.0.0, sqlalchemy 2.1.9: with the second process placed between the two statements both get the trial.
# Without any placing, three processes with 60 queued trials ran three of them twice.
# What to do: hold a lock between processes (such as filelock's) around Study.ask.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet optuna==5.0.0 sqlalchemy==2.1.9 alembic==1.20.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import optuna
import sqlalchemy

optuna.logging.set_verbosity(optuna.logging.WARNING)
url = f"sqlite:///{sys.argv[1]}/study.db"
print(f"optuna {optuna.__version__}, sqlalchemy {sqlalchemy.__version__}")
optuna.create_study(study_name="s", storage=url).enqueue_trial({"x": 1})
# Two storages, each with connections of its own, stand for two processes.
first, second = (optuna.load_study(study_name="s", storage=url) for _ in range(2))
asked = []


def ask_in_between(connection, cursor, statement, *_: object) -> None:
    """Let the second process ask, once: the first one has read the state and is about to write it."""
    if statement.startswith("UPDATE trials SET state") and not asked:
        asked.append(None)
        asked[0] = second.ask()


storage = first._storage
backend = getattr(storage, "_backend", storage)  # Optuna puts a cache around the storage
sqlalchemy.event.listen(backend.engine, "before_cursor_execute", ask_in_between)
own = first.ask()
if not asked or asked[0] is None:
    sys.exit("CHANGED: the state of a trial is no longer written by the statement that this script waits for")
other = asked[0]
print(f"first process: trial {own.number}; second process: trial {other.number}; one was queued")
second.tell(other, 1.0)
try:
    first.tell(own, 2.0)
    message = "none"
except ValueError as error:
    message = str(error)
print(f"error of the one that finishes last: {message}")
if own.number != other.number or "Cannot tell a COMPLETE trial" not in message:
    sys.exit("CHANGED: the two processes no longer take the same trial")
print("still so: both processes take the same queued trial")
PYTHON
