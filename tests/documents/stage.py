"""Where a page is played: a folder, a server, a receiver, and a shell that goes on from
block to block."""

import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

PATIENCE = 20  # seconds, for what takes milliseconds on a machine that is not busy
OPERATOR = "an-operator-token-for-the-documents"

# curl says what went wrong, and nothing of its progress; a line ends what it got.
CURLRC = 'silent\nshow-error\nfail-with-body\nwrite-out = "\\n"\n'
# `cargo run --release -- X` is what was built already.
CARGO = '#!/bin/sh\n[ "$1 $2 $3" = "run --release --" ] || exit 1\nshift 3\nexec callboard "$@"\n'


def free_port():
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return own.getsockname()[1]


def wait_for(what, question, patience=PATIENCE):
    """What the question is answered with, once that is something."""
    end = time.monotonic() + patience
    while not (answer := question()):
        assert time.monotonic() < end, f"{what}: not within {patience} s"
        time.sleep(0.02)
    return answer


class Receiver(http.server.ThreadingHTTPServer):
    """Takes deliveries, and answers as the path says."""

    daemon_threads = True
    STATUSES = {"/gone": 410, "/busy": 429, "/broken": 500, "/away": 503, "/missing": 404}

    def __init__(self):
        self.got, self.refused = [], set()
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = self.server.STATUSES.get(self.path, 200)
            if any(f'"type":"{kind}"' in body for kind in self.server.refused):
                status = 500
            self.server.got.append((self.path, headers, body))
            answer = b"ok"
            self.send_response(status)
            if status == 429:
                self.send_header("retry-after", "100")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass


class Running:
    """A command that goes on, and what it has printed up to now."""

    def __init__(self, command, folder, environment):
        # A session of its own, so that what it starts can be ended with it.
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            start_new_session=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def printed(self, pattern):
        """The first line that fits; it is waited for."""

        def found():
            fits = next((line for line in list(self.lines) if re.search(pattern, line)), None)
            assert fits or self.process.poll() is None, "it has ended:\n" + "\n".join(self.lines)
            return fits

        return wait_for(f"a line with {pattern}", found)

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


class Stage(contextlib.ExitStack):
    """One page's. What it prints and is answered is kept, to be compared with what is shown."""

    def __init__(self, program):
        super().__init__()
        self.program = program
        self.receiver = Receiver()
        self.callback(self.receiver.server_close)
        self.callback(self.receiver.shutdown)
        self.root = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        for name in ("bin", "home", "work", "var/lib/callboard", "backup", "run/secrets"):
            (self.root / name).mkdir(parents=True)
        (self.root / "bin/callboard").symlink_to(program)
        (self.root / "bin/cargo").write_text(CARGO)
        (self.root / "bin/cargo").chmod(0o755)
        (self.root / "home/.curlrc").write_text(CURLRC)
        self.port, self.own_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.receiver_url = f"http://127.0.0.1:{self.receiver.server_port}"
        self.work = self.root / "work"
        self.environment = {
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.root / "home"),
            "CALLBOARD_LISTEN": f"127.0.0.1:{self.port}",
        }
        self.server, self.running = None, []
        self.callback(lambda: [one.end() for one in reversed(self.running)])
        self.lines, self.answers, self.names, self.instead = [], [], {}, {}

    def own(self, text):
        """A text with the addresses and the folders of this stage in the place of those
        that it names."""
        for shown, own in self.instead.items():
            text = text.replace(shown, own)
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        text = text.replace("https://callboard.example", self.url)
        text = re.sub(r"\b9000\b", str(self.own_port), text)
        text = re.sub(r"http://localhost:3000|https://(partner\.)?example(\.com)?(?=[/\"'])", self.receiver_url, text)
        return re.sub(r"(?<=[ :=])/(?=(var/lib/callboard|backup|run/secrets)/)", f"{self.root}/", text)

    # ---- The server

    def serve(self, **environment):
        """Starts a server as most pages expect it: it may call this machine."""
        self.environment |= {
            "CALLBOARD_ADMIN_TOKEN": OPERATOR,
            "CALLBOARD_EGRESS_ALLOW": "127.0.0.0/8",
            "CALLBOARD_URL": self.url,
        } | environment
        (self.root / "server").mkdir(exist_ok=True)
        self.start(["callboard", "serve"], self.root / "server", is_server=True)

    def start(self, command, folder=None, is_server=False):
        """Starts what goes on. Of servers there is one at a time, since they have one port."""
        if is_server and self.server:
            self.server.end()
        command = [self.program, *command[1:]] if command[0] == "callboard" else command
        running = Running(command, folder or self.work, self.environment)
        self.running.append(running)
        if is_server:
            self.server = running
            running.printed("address=|listens on")
        return running

    def ask(self, method, path, body=None, token=OPERATOR, status=range(200, 300), **headers):
        """What the server answers to a request; kept too."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            if token:
                headers = {"authorization": f"Bearer {token}"} | headers
            if body is not None:
                headers = {"content-type": "application/json"} | headers
            text = body if body is None or isinstance(body, str) else json.dumps(body, separators=(",", ":"))
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            got = answer.read().decode()
        assert answer.status in status, f"{method} {path}: {answer.status} {got}"
        got = json.loads(got) if got else None
        self.answers.append(got)
        return got

    def webhook(self, path="/hook", **settings):
        """A webhook at the receiver."""
        return self.ask("POST", "/v1/webhooks", {"url": self.receiver_url + path} | settings)

    def publish(self, kind, subject="1", **members):
        return self.ask("POST", "/v1/events", {"type": kind, "subject": {"id": subject}} | members)

    def client(self, scopes=("admin", "read:events", "read:webhooks", "write:events", "write:webhooks")):
        """A client of the default tenant, and a token of it, as variables of the shell."""
        made = self.ask("POST", "/v1/clients", {"name": "Ticket shop", "scopes": list(scopes)})
        form = f"grant_type=client_credentials&client_id={made['client_id']}&client_secret={made['client_secret']}"
        kind = "application/x-www-form-urlencoded"
        token = self.ask("POST", "/oauth2/token", form, token=None, content_type=kind)["access_token"]
        self.environment |= {
            "ADMIN": OPERATOR,
            "TOKEN": token,
            "CLIENT_ID": made["client_id"],
            "CLIENT_SECRET": made["client_secret"],
        }

    def delivered(self, path=None, text=""):
        """The newest request that the receiver got, at a path and with a text in its body."""

        def found():
            fitting = [one for one in self.receiver.got if path in (None, one[0]) and text in one[2]]
            return fitting[-1] if fitting else None

        return wait_for(f"a delivery to {path} with {text!r}", found)

    # ---- The shell

    def run(self, text):
        """Runs a block to its end, with variables and folder as the one before left them."""
        state = self.root / "state"
        whole = f"set -aeuo pipefail\n{self.own(text)}\n{{ env -0; pwd; }} > '{state}'\n"
        done = subprocess.run(
            ["bash", "-c", whole],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
        self.lines += (done.stdout + done.stderr).splitlines()
        assert done.returncode == 0, f"exit code {done.returncode}:\n{done.stdout}{done.stderr}"
        *variables, folder = state.read_text().split("\0")
        self.work = pathlib.Path(folder.strip())
        self.environment = dict(one.split("=", 1) for one in variables)
        for line in done.stdout.splitlines():
            with contextlib.suppress(ValueError):
                self.answers.append(json.loads(line))

    def go_on(self, text, is_server, listens):
        """Starts a block that does not end."""
        running = self.start(["bash", "-c", f"set -aeuo pipefail\n{self.own(text)}"], is_server=is_server)
        if listens:

            def connected():
                with socket.socket() as own:
                    return own.connect_ex(("127.0.0.1", self.own_port)) == 0

            wait_for("the receiver of the page", connected)
        return running

    def printed(self):
        """Every line up to now."""
        return self.lines + [line for one in self.running for line in list(one.lines)]

    def seen(self):
        """Every answer, and every body that was delivered, up to now."""
        bodies = []
        for _, _, body in list(self.receiver.got):
            with contextlib.suppress(ValueError):
                bodies.append(json.loads(body))
        return self.answers + bodies
