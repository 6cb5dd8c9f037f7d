from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.functional.commands import call

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_vendors_are_served_over_http_until_ctrl_c(tmp_path: Path) -> None:
    behaviours = tmp_path / "behaviours.yaml"
    behaviours.write_text("models: {gpt-4: {behaviour: steady}}\n")
    port = free_port()
    command = [sys.executable, "manage.py", "simulate_vendors", f"--port={port}", f"--behaviours={behaviours}"]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True)
    try:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            data=json.dumps({"model": "gpt-4", "messages": [{"role": "user", "content": "hello"}]}).encode(),
            headers={"Authorization": "Bearer x", "Content-Type": "application/json"},
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(request) as response:
                    answer = json.load(response)
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.1)
        assert answer["model"] == "gpt-4"
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=10) == 0
    finally:
        server.kill()
        _, said = server.communicate()
    assert said == f"simulated vendors: http://127.0.0.1:{port}\n"


def test_a_bad_behaviours_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "behaviours.yaml"
    path.write_text("models: {gpt-4: {behaviour: moody}}\n")
    called = call("simulate_vendors", f"--behaviours={path}")
    assert called.code == 2
    assert called.err.startswith(f"{path}: models.gpt-4.behaviour must be one of: ")
    assert called.err.count("\n") == 1


def test_a_taken_port_is_bad_input() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        called = call("simulate_vendors", f"--port={port}")
    assert called.code == 2
    assert called.err.splitlines()[-1].startswith(f"--port: port {port} cannot be served (")
