"""A demo mesh for the tests: `origo demo --json` with its own ports, ended by SIGTERM."""

import json
import os
import random
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ORIGO = os.environ.get("ORIGO_BIN", str(TARGET / "debug" / "origo"))
READY_TIMEOUT_S = 20
STOP_TIMEOUT_S = 5


@dataclass(frozen=True)
class Node:
    """One node as the demo's line names it."""

    id: str
    region: str
    pid: int
    url: str
    metrics: str


class Mesh:
    """A running demo mesh."""

    def __init__(self, log: Path):
        log.parent.mkdir(parents=True, exist_ok=True)
        port_base = 21_000 + 100 * random.randrange(100)
        self._process = subprocess.Popen(
            [ORIGO, "demo", "--json", "--port-base", str(port_base)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
        )
        # A demo that says nothing is killed, which ends the read.
        watchdog = threading.Timer(READY_TIMEOUT_S, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        if not line:
            raise RuntimeError(f"origo demo gave no line; see {log}")
        answer = json.loads(line)
        self.web: str = answer["web"]
        self.api_key: str = answer["api_key"]
        self.api_secret: str = answer["api_secret"]
        self.nodes = [Node(**{key: node[key] for key in Node.__annotations__}) for node in answer["nodes"]]

    def token(self, room: str, identity: str, secret: str | None = None) -> str:
        """Mints a token with `origo token`, as an operator does by hand."""
        command = [ORIGO, "token", "--api-key", self.api_key, "--api-secret", secret or self.api_secret]
        command += ["--room", room, "--identity", identity]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()

    def stop(self) -> str:
        """Ends the mesh; gives what it printed after its first line."""
        self._process.send_signal(signal.SIGTERM)
        try:
            rest, _ = self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            for node in self.nodes:
                if alive(node.pid):
                    os.kill(node.pid, signal.SIGKILL)
            raise
        return rest


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
