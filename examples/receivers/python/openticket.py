"""Receives invocations in the OpenTicket dialect, and knows them by its headers."""

import hmac
import json
import os
import queue
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 1 << 20

# The `nonce` of the webhook says whose invocation it is. It goes out with each of
# them, so it proves nothing: who sent it is proved by the signature.
identifier = os.environ["OPENTICKET_IDENTIFIER"].encode()
webhook = Webhook(os.environ["CALLBOARD_SECRET"])

# A real receiver puts this queue into its database, so that what it answered
# 204 to survives a crash.
accepted: queue.Queue[tuple[str, str, bytes]] = queue.Queue(maxsize=1000)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a silent connection may take a thread

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal():
            return self.send_error(HTTPStatus.LENGTH_REQUIRED)
        if int(length) > MAX_BODY_BYTES:
            return self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        given = self.headers.get("openticket-identifier", "").encode()
        try:
            webhook.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: not even readable
            return self.send_error(HTTPStatus.UNAUTHORIZED)
        if not hmac.compare_digest(given, identifier):
            return self.send_error(HTTPStatus.UNAUTHORIZED)
        key = self.headers.get("openticket-dedupe-key")
        if not key:
            return self.send_error(HTTPStatus.BAD_REQUEST)
        try:
            accepted.put_nowait((key, self.headers.get("openticket-trigger", ""), body))
        except queue.Full:  # Callboard comes back later
            return self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()


def work() -> None:
    # Every attempt at one invocation has the same key. A real receiver keeps the
    # keys in a table with a unique key, and writes each in the transaction of the
    # work itself.
    done: set[str] = set()
    while True:
        key, trigger, body = accepted.get()
        if key not in done:
            model = json.loads(body)["model"]
            print(f"{trigger} {model['guid']} ({key})", flush=True)
            done.add(key)


if __name__ == "__main__":
    threading.Thread(target=work, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver)
    print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
