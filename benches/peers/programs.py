"""How `run` starts programs. Only the standard library, as in `run` itself."""

import json
import os
import pathlib
import platform
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def environment(name, variable):
    """The Python of an environment that `setup` makes."""
    return ROOT / os.environ.get(variable, f"target/{name}-venv") / "bin/python"


# The environment that most parts of `run` need.
PYTHON = environment("peers", "PIXELFEAT_PEERS_VENV")


def output(*command):
    # What earlier programs left to be written is not to be paid for by the next one.
    os.sync()
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def process(*command):
    """Seconds by the clock and largest memory in MB, from the start of a program to its end."""
    os.sync()
    start = time.perf_counter()
    running = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(running.pid, 0)
    seconds, running.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, (running.returncode, *command)
    return seconds, usage.ru_maxrss * (1 if platform.system() == "Darwin" else 1024) / 1e6


def packages(python, names):
    """The versions of Python and of these packages in an environment; nothing if it is not there."""
    if not python.exists():
        return {}
    versions = """
import importlib.metadata, json, platform
packages = {d.name: d.version for d in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version()} | packages))
"""
    found = json.loads(output(python, "-c", versions))
    return {name: found[name] for name in ["python", *names] if name in found}
