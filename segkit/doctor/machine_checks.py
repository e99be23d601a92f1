"""Checks of processor, memory, user and clock."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.doctor.facts import Facts
from segkit.doctor.problem import Problem
from segkit.machine.account import NAMING
from segkit.machine.memory import Memory
from segkit.units import size_text

LEAST_MEMORY = 400 << 20
"""Bytes that a prediction of a small scan takes; one of 36 x 52 x 38 voxels held 350 MB."""
LEAST_ADDRESSES = 4 << 30
"""Bytes of addresses that PyTorch and its threads reserve; they use far less memory."""
LEAST_SHARED = 1 << 30
"""Bytes of shared memory that are enough for the worker processes of a training on a GPU."""
CLOCK_SECONDS = 3600.0
"""How far the clock may be behind the newest file of segkit, in seconds."""


def memory_problems(facts: Facts) -> Iterator[Problem]:
    """Yield an error where less than `LEAST_MEMORY` is free."""
    memory = facts.memory
    if memory.free is None or memory.free >= LEAST_MEMORY:
        return
    limit = memory.limit
    is_limited = limit is not None and limit.free <= (memory.available or limit.free)
    limited = f", below the limit of {size_text(limit.limit)}" if limit and is_limited else ""
    yield Problem(
        "error",
        "memory",
        "memory",
        f"at least {size_text(LEAST_MEMORY)} that are free",
        f"{size_text(memory.free)}{limited}",
        "Raise the limit of the container or job (docker run --memory, #SBATCH --mem)."
        if limited
        else "Close other programs, or use a machine with more memory.",
    )


def is_filled(memory: Memory) -> bool:
    """Return whether memory would suffice if programs did not use it at the moment."""
    sizes = (memory.total, memory.limit.limit if memory.limit else None)
    return all(size is None or size >= LEAST_MEMORY for size in sizes)


def address_problems(facts: Facts) -> Iterator[Problem]:
    """Yield a warning for a limit of the address space, which PyTorch reserves generously."""
    limit = facts.memory.address_space
    if limit is not None and limit < LEAST_ADDRESSES:
        yield Problem(
            "warning",
            "address_space",
            "memory",
            f"no limit of the address space (ulimit -v), or one of {size_text(LEAST_ADDRESSES)}",
            size_text(limit),
            "PyTorch reserves more addresses than it uses memory, and fails at this limit. Type"
            " ulimit -v unlimited, or ask for a job without this limit.",
        )


def processor_problems(facts: Facts) -> Iterator[Problem]:
    """Yield a warning where threads would wait for each other, or where networks are slow."""
    cpu = facts.processor
    if cpu.usable < facts.threads:
        yield Problem(
            "warning",
            "cpu_limit",
            "processor",
            f"at most as many threads as cores that may be used at the same time, {cpu.usable}",
            f"{facts.threads} threads of PyTorch",
            f"They wait for each other. Give predict --threads {cpu.usable}, and train"
            f" trainer.threads={cpu.usable}, or set OMP_NUM_THREADS={cpu.usable}.",
        )
    if cpu.instructions is not None and not {"AVX2", "NEON"} & set(cpu.instructions):
        yield Problem(
            "warning",
            "cpu_instructions",
            "processor",
            "the instructions AVX2, or NEON on ARM",
            "neither of them",
            "Everything works, but slowly. Use a newer machine; in a virtual machine, let it pass"
            " the type of the host's processor.",
        )


def shared_memory_problems(facts: Facts) -> Iterator[Problem]:
    """Yield a warning where the worker processes of a training may run out of shared memory."""
    shared = facts.shared_memory
    if shared is None or shared.free is None or not facts.driver.devices:
        return
    if shared.free < LEAST_SHARED or not shared.writable:
        found = shared.problem or f"{size_text(shared.free)} that are free"
        yield Problem(
            "warning",
            "shared_memory",
            "shared memory (/dev/shm)",
            f"{size_text(LEAST_SHARED)}, for the processes that cut patches for a training",
            found,
            "A prediction needs none of it. For a training, docker run --shm-size 2g, or"
            " trainer.workers=0, which needs none but is slower.",
        )


def account_problems(facts: Facts) -> Iterator[Problem]:
    """Yield a warning for a user number without a name, with which some libraries fail."""
    user = facts.account
    if user.has_entry or user.is_named:
        return
    yield Problem(
        "warning",
        "user_name",
        "user",
        f"an entry for the user number {user.number}, or one of the variables {', '.join(NAMING)}",
        "neither",
        "MONAI and other libraries ask for a name and fail without one. Set USER=segkit.",
    )


def clock_problems(facts: Facts) -> Iterator[Problem]:
    """Yield a warning for a clock that is behind the files of segkit."""
    if facts.seconds_behind > CLOCK_SECONDS:
        days = facts.seconds_behind / 86400
        yield Problem(
            "warning",
            "clock",
            "clock",
            "a time after segkit was installed",
            f"a time {days:.1f} days before that",
            "Dates in results, models and DICOM files would be wrong. Set the clock.",
        )


def root_problems(facts: Facts) -> Iterator[Problem]:
    """Yield a note about a root folder that is read-only, as in a hardened container."""
    if facts.root_is_read_only:
        yield Problem(
            "note",
            "read_only_root",
            "root folder",
            "a folder that can be written, or others that are mounted into it",
            "a read-only mount",
            "Results can be written only to folders that are mounted into the container, and"
            " temporary files only with a tmpfs on /tmp.",
        )
