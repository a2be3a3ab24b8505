"""What has to be there before a page can be played, and what has to be true after a block
of it."""

import json
import subprocess

import rules
from stage import wait_for


def usual(stage):
    """A server with a client of the default tenant."""
    stage.serve()
    stage.client()


# ---- Before a page


def readme(stage):
    """Nothing: the page starts all of it."""


def access(stage):
    # The operator's token is printed where none is given.
    stage.serve()
    first = stage.root / "first"
    first.mkdir()
    stage.environment.pop("CALLBOARD_ADMIN_TOKEN")
    stage.start(["callboard", "serve"], first, is_server=True).printed(r"cba_")
    usual(stage)


def publishing(stage):
    usual(stage)
    for name in ("One", "Two"):
        stage.webhook(name=name, events=["order.paid"])
    stage.webhook(name="Seats", events=["acme.*"])
    (stage.work / "events.ndjson").write_text(
        json.dumps({"id": "order-9918-paid", "type": "order.paid", "subject": {"id": "9918"}})
    )
    stage.ask(
        "POST",
        "/v1/events",
        [
            {"type": "ticket.updated", "subject": {"id": "1"}, "data": {"quantity": "2"}},
            {"type": "webhook.mine", "subject": {"id": 3}},
        ],
        status=[400],
    )


def webhooks(stage):
    usual(stage)
    made = stage.webhook(name="Mine", events=["order.paid"])
    stage.environment["ID"] = made["id"]
    stage.ask("POST", f"/v1/webhooks/{made['id']}/ping")
    stage.webhook("/watch", name="Watch", events=["webhook.*"])
    stage.webhook("/gone", name="Box office", events=["order.paid"])
    stage.publish("order.paid")
    stage.delivered("/watch", "webhook.disabled")
    certificate(stage, made["id"])


def certificate(stage, webhook):
    """Gives a webhook a certificate, and keeps what was sent."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    key, own = stage.root / "key.pem", stage.root / "certificate.pem"
    subprocess.run([*make, "-subj", "/CN=sender", "-keyout", key, "-out", own], check=True, capture_output=True)
    sent = {"client_certificate": {"certificate": own.read_text(), "private_key": key.read_text()}}
    stage.ask("PATCH", f"/v1/webhooks/{webhook}", {"url": "https://partner.example/hook"} | sent)
    stage.answers.append(sent)


def deliveries(stage):
    usual(stage)
    made = stage.webhook("/busy", name="Busy", events=["acme.gone"])
    stage.environment["ID"] = made["id"]
    for url in (f"{stage.receiver_url}/missing", "http://nobody.invalid/hook"):
        stage.ask("POST", "/v1/webhooks", {"url": url, "events": ["acme.lost"], "retry": {"schedule_seconds": []}})
    for number in range(5):
        stage.publish("acme.lost", str(number))
    # The eleventh and the twelfth delivery.
    stage.publish("acme.gone")
    stage.publish("acme.gone")
    log = f"/v1/webhooks/{made['id']}/deliveries"
    wait_for("both wait", lambda: len(stage.ask("GET", f"{log}?state=waiting&answer=4xx")["items"]) == 2)
    failed = lambda: sum(one["count"] for one in stage.ask("GET", "/v1/failed/groups")["items"])  # noqa: E731
    wait_for("what is lost has failed", lambda: failed() == 10)
    other = stage.webhook(name="Works", events=["acme.kept"])
    stage.publish("acme.kept")
    stats = lambda: stage.ask("GET", f"/v1/webhooks/{other['id']}/stats")  # noqa: E731
    wait_for("it has arrived", lambda: stats()["delivered"])


def api(stage):
    usual(stage)
    stage.webhook(name="One", events=["*"])
    stage.ask("GET", "/v1/webhooks?limit=1")
    stage.webhook(name="Two", events=["*"])
    stage.ask("GET", "/v1/webhooks?limit=1")
    stage.ask("POST", "/v1/events", {"type": "order.paid", "subject": {"id": 5}}, status=[400])


def audit(stage):
    usual(stage)
    token = stage.environment["TOKEN"]
    made = stage.ask(
        "POST", "/v1/webhooks", {"url": "https://one.example/hook", "events": ["*"], "headers": {"x-key": "a"}}, token
    )
    stage.ask(
        "PATCH", f"/v1/webhooks/{made['id']}", {"url": "https://two.example/hook", "headers": {"x-key": "b"}}, token
    )


def command_line(stage):
    usual(stage)
    stage.environment["ID"] = stage.webhook(name="Mine", events=["*"])["id"]
    (stage.work / "webhook.json").write_text('{"timeout_seconds": 6}')
    stage.run("callboard webhook create --token $TOKEN --url ftp://partner.example/hook || true")


def dashboard(stage):
    access(stage)


def operating(stage):
    stage.run("env -u CALLBOARD_LISTEN callboard config check")
    usual(stage)
    (stage.root / "run/secrets/callboard-database").write_text("sqlite:other.db")


def security(stage):
    usual(stage)
    (stage.root / "run/secrets/callboard-keys").symlink_to(stage.work / "callboard.key")


def nats(stage):
    usual(stage)
    (stage.root / "run/secrets/callboard.creds").write_text("a file of credentials")


BEFORE = {
    "README.md": readme,
    "docs/access.md": access,
    "docs/api.md": api,
    "docs/audit.md": audit,
    "docs/command-line.md": command_line,
    "docs/dashboard.md": dashboard,
    "docs/deliveries.md": deliveries,
    "docs/first-minute.md": readme,
    "docs/nats.md": nats,
    "docs/operating.md": operating,
    "docs/publishing.md": publishing,
    "docs/receiving.md": usual,
    "docs/security.md": security,
    "docs/webhooks.md": webhooks,
}


# ---- After a block


def verified(stage):
    """The README's receiver printed a delivery; its function takes that for genuine, and
    nothing else."""
    made = next(one for one in stage.seen() if isinstance(one, dict) and "secret" in one)

    def printed():
        lines = stage.printed()
        return next((index for index, line in enumerate(lines) if '"type":"order.paid"' in line), None)

    end = wait_for("the receiver of the README has a delivery", printed)
    lines = stage.printed()
    headers = dict(line.split(": ", 1) for line in lines[:end] if ": " in line)
    headers = {name.lower(): value for name, value in headers.items()}
    genuine = stage.names["is_genuine"]
    assert genuine(headers, lines[end].encode(), made["secret"]), (headers, lines[end])
    assert not genuine(headers, lines[end].encode() + b" ", made["secret"])


def openticket(stage):
    made = next(one for one in stage.seen() if isinstance(one, dict) and "nonce" in one)
    stage.publish("shop.created", "12")
    _, headers, _ = stage.delivered(text='"meta"')
    assert headers["openticket-identifier"] == made["nonce"], headers
    assert headers["openticket-trigger"] == "shop.created", headers
    log = lambda: stage.ask("GET", f"/openticket/webhook/{made['guid']}/invocations?state=delivered")  # noqa: E731
    wait_for("it is in the log", log)
    # What the page shows next: an order's scan that reaches a ticket.
    stage.ask(
        "POST",
        "/v1/webhooks",
        {
            "url": stage.receiver_url + "/shown",
            "dialect": "openticket",
            "resource": "ticket",
            "trigger": "scan",
            "triggered_by_related": True,
        },
    )
    stage.publish("order.scanned", "9", related={"ticket": ["408218"]})
    stage.delivered("/shown")


def ingresse(stage):
    stage.publish("ticket.updated", "408218", occurred_at="2026-11-21T19:00:00Z", data={"name": "Pista"})
    stage.delivered("/ingresse")


def viagogo(stage):
    stage.publish("sale.created", "9")
    _, headers, _ = stage.delivered("/viagogo")
    assert headers["viagogo-topic"] == "Sales" and headers["authorization"] == "Basic c2VzYW1l", headers


def stream(stage):
    wait_for("the stream began", lambda: any(line.startswith("id: ") for line in stage.printed()))
    stage.publish(
        "order.paid", "9917", id="order-9917-paid", occurred_at="2026-11-21T19:00:00Z", data={"status": "paid"}
    )


def listen(stage):
    stage.receiver.refused.add("ticket.deleted")
    wait_for("listen is there", lambda: stage.running[-1].lines)
    stage.publish("ticket.updated", "408218")
    stage.publish("ticket.deleted", "408219")


def tokens_work(stage):
    token = [one for one in stage.answers if isinstance(one, dict) and "access_token" in one][-1]["access_token"]
    stage.ask("POST", "/v1/events", {"type": "acme.seen", "subject": {"id": "1"}}, token)


def backup_is_complete(stage):
    assert (stage.root / "backup/callboard.db").read_bytes().startswith(b"SQLite format 3"), "there is no backup"


def traced(stage):
    _, headers, _ = stage.delivered(text='"9919"')
    assert headers["traceparent"] == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", headers
    assert headers["tracestate"] == "shop=order-9919", headers


def follow_an_event(stage):
    """An event that is tried twice, on a server that tells of each step."""
    stage.serve(CALLBOARD_LOG_FILTER="info,callboard::event=debug,callboard::delivery=debug")
    stage.webhook("/away", events=["acme.followed"], retry={"schedule_seconds": [0.1]})
    stage.publish("acme.followed", id="order-9917-refund")
    stage.server.printed("given up event=order-9917-refund")


# Both by a page and a text of the block.
JUST_BEFORE = {
    ("docs/operating.md", "callboard::event: recorded"): follow_an_event,
    ("docs/operating.md", "callboard migrate-data"): lambda stage: stage.server.end(),
}
AFTER = {
    ("README.md", "def is_genuine"): verified,
    ("docs/api.md", "urn:callboard:problem"): rules.check,
    ("docs/access.md", "client_id="): tokens_work,
    ("docs/command-line.md", "callboard listen"): listen,
    ("docs/ingresse.md", "curl"): ingresse,
    ("docs/openticket.md", "resource=shop"): openticket,
    ("docs/operating.md", "callboard backup"): backup_is_complete,
    ("docs/publishing.md", "traceparent"): traced,
    ("docs/stream.md", "curl -N"): stream,
    ("docs/viagogo.md", "curl"): viagogo,
}
