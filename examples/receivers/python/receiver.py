"""Receives deliveries of Callboard: verifies, answers, and works afterwards."""

import json
import os
import queue
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 1 << 20

webhook = Webhook(os.environ["CALLBOARD_SECRET"])

# A real receiver puts this queue into its database, so that what it answered
# 204 to survives a crash.
accepted: queue.Queue[tuple[str, bytes]] = queue.Queue(maxsize=1000)


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
        try:
            webhook.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: not even readable
            return self.send_error(HTTPStatus.UNAUTHORIZED)
        try:
            accepted.put_nowait((self.headers["webhook-id"], body))
        except queue.Full:  # Callboard comes back later
            return self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()


def work() -> None:
    # A delivery can come twice. A real receiver keeps the ids in a table with a
    # unique key, and writes each in the transaction of the work itself.
    done: set[str] = set()
    while True:
        webhook_id, body = accepted.get()
        if webhook_id not in done:
            event = json.loads(body)
            print(f"{event['type']} {event['subject']['id']} ({webhook_id})", flush=True)
            done.add(webhook_id)


if __name__ == "__main__":
    threading.Thread(target=work, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver)
    print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
