"""A local address that takes HTTP POSTs and remembers them: whom automations tell, in tests."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Receiver:
    """Listens; `received` holds what came, oldest first."""

    url: str
    received: list[dict[str, Any]] = field(default_factory=list)

    def automations(self) -> list[str]:
        """Which of ours have spoken, without the prefix."""
        return [one["automation"].removeprefix("cleanplate: ") for one in self.received]


@contextmanager
def receiver(path: str = "/") -> Iterator[Receiver]:
    """On a free port of loopback; `path` may hold a token, as incoming webhooks do."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == path:
                here.received.append(body)
            self.send_response(204 if self.path == path else 404)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Receiver(f"http://127.0.0.1:{server.server_port}{path}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
