"""Fixtures of the data tests: a web server that misbehaves, and the folder of real files."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

MIRROR = Path(__file__).parents[3] / "shared" / "data"


@dataclass
class Server:
    """A web server on this machine: what it answers to the first, second, … request for a path.

    An answer is a body, a status, "cut" (less than announced) or "hang" (one second of silence).
    """

    url: str = ""  # ends in a slash
    answers: dict[str, list[str | bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            state.requests.append(name)
            state.agents.append(self.headers["User-Agent"])
            answers = state.answers.get(name, ["404"])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if answer == "hang":
                time.sleep(1)
            elif isinstance(answer, bytes):
                self._send(answer, len(answer))
            elif answer == "cut":
                self._send(bytes(1000), 10240)
            else:
                self.send_error(int(answer))

        def _send(self, body: bytes, announced: int) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http_server.server_port}/"
    threading.Thread(target=http_server.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    http_server.shutdown()
    http_server.server_close()


@pytest.fixture(scope="session")
def mirror() -> Path:
    if not MIRROR.is_dir():
        pytest.skip(f"no folder {MIRROR} with the real data files")
    return MIRROR
