"""The rules and the quirks of docs/api.md: what the page says, a request, and what comes."""

import contextlib
import gzip
import http.client
import json

from blocks import ROOT
from stage import OPERATOR, PATIENCE

EVENT = {"type": "acme.a", "subject": {"id": "1"}}
JSON = {"content-type": "application/json"}


def raw(stage, request, body=None, token=OPERATOR, headers=()):
    """The status, the headers and the text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        headers = dict(headers)
        if token:
            headers["authorization"] = f"Bearer {token}"
        if isinstance(body, dict):
            headers, body = JSON | headers, json.dumps(body)
        connection.request(*request.split(" ", 1), body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


class Rules:
    """Asks for one rule after the other, of a webhook that hears `acme.*`."""

    def __init__(self, stage):
        self.stage, self.asked = stage, 0
        self.page = " ".join((ROOT / "docs/api.md").read_text().split())
        self.hook = f"{stage.receiver_url}/hook"
        wanted = {"url": self.hook, "events": ["acme.*"]}
        self.made = self("a new webhook", 201, "POST /v1/webhooks", wanted, has='"location": "/v1/webhooks/')
        self.one = f"/v1/webhooks/{self.made['id']}"

    def __call__(self, words, wanted, request, body=None, *, token=OPERATOR, has="", lacks=None, **headers):
        """The page says these words, and the request is answered so: `has` is a text of the
        body or the headers, `lacks` one that is in neither."""
        assert words in self.page, f"tests/documents/rules.py checks what docs/api.md does not say: {words}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        status, names, text = raw(self.stage, request, body, token, headers)
        self.asked += 1
        answered = json.loads(text) if text else None
        said = json.dumps(answered) + json.dumps(names)
        fits = status == wanted and has in said and (lacks is None or lacks not in said)
        assert fits, f"{words!r}: {request} is answered {status} {said}"
        return answered


def bodies(rule):
    rule("another that ends in `+json`", 200, f"PATCH {rule.one}", "{}", content_type="application/merge-patch+json")
    rule(
        "Its `charset` does not count",
        202,
        "POST /v1/events",
        json.dumps(EVENT),
        content_type="application/json; charset=latin1",
    )
    rule("leave the content type out too", 202, f"POST {rule.one}/retry-failed")
    rule(
        "which is answered `415`",
        415,
        f"POST {rule.one}/retry-failed",
        "{}",
        content_type="application/x-www-form-urlencoded",
    )
    rule("Answers are JSON whatever `Accept` says", 200, f"GET {rule.one}", accept="text/xml", has="application/json")
    rule(
        "a `400` that says that the body is not UTF-8",
        400,
        "POST /v1/events",
        gzip.compress(b"{}"),
        has="not UTF-8",
        content_encoding="gzip",
        **JSON,
    )
    rule(
        "A byte order mark before a body is a fault",
        400,
        "POST /v1/events",
        "\ufeff".encode() + json.dumps(EVENT).encode(),
        **JSON,
    )


def what_is_not_known(rule):
    rule(
        "an unknown member of a body, also one that is null", 400, "POST /v1/events", EVENT | {"foo": None}, has="/foo"
    )
    rule(
        "a member that is given twice",
        400,
        f"PATCH {rule.one}",
        '{"name": "a", "name": "b"}',
        **JSON,
        has="given twice",
    )
    rule(
        "not within `data` and `changes` of types of your own",
        202,
        "POST /v1/events",
        '{"type": "acme.a", "subject": {"id": "1"}, "data": {"a": 1, "a": 2}}',
        **JSON,
    )
    rule("an unknown or repeated parameter of a query", 400, "GET /v1/webhooks?x=1", has='"x"')
    rule("an unknown or repeated parameter of a query", 400, "GET /v1/webhooks?limit=1&limit=2")
    rule("Routes without parameters pass over a query", 200, f"GET {rule.one}?x=1")
    rule("routes without a body over a body", 200, f"POST {rule.one}/enable", {"nonsense": 1})


def edits(rule):
    rule("`headers` with one header leaves one header", 200, f"PATCH {rule.one}", {"headers": {"a": "1", "b": "2"}})
    rule(
        "`headers` with one header leaves one header",
        200,
        f"PATCH {rule.one}",
        {"headers": {"c": "3"}},
        has='"headers": {"c": "3"}',
    )
    rule("null resets to the default", 200, f"PATCH {rule.one}", {"timeout_seconds": 5}, has='"timeout_seconds": 5.0')
    rule(
        "null resets to the default", 200, f"PATCH {rule.one}", {"timeout_seconds": None}, has='"timeout_seconds": 15.0'
    )
    rule(
        "such as `url` and `events`, refuses null",
        400,
        f"PATCH {rule.one}",
        {"url": None, "events": None},
        has="2 faults",
    )
    rule(
        "such as `id` and `status`, is an unknown member",
        400,
        f"PATCH {rule.one}",
        {"id": "x", "status": "active"},
        has="2 faults",
    )
    before = rule("makes a new `revision`", 200, f"GET {rule.one}")["revision"]
    rule("makes a new `revision`", 200, f"PATCH {rule.one}", {}, has=f'"revision": {before + 1}')
    rule("is refused with `412`", 412, f"PATCH {rule.one}", {}, if_match='"77"')
    rule("or `*`; other routes pass over it", 200, f"PATCH {rule.one}", {}, if_match="*")
    rule("or `*`; other routes pass over it", 200, f"POST {rule.one}/pause", if_match='"77"')


def values(rule):
    rule("Those that are given need an offset", 400, "POST /v1/events", EVENT | {"occurred_at": "2026-11-21T19:00:00"})
    rule("has to be written `%2B`", 400, "GET /v1/events?since=2026-11-21T19:00:00+02:00")
    rule("has to be written `%2B`", 200, "GET /v1/events?since=2026-11-21T19:00:00%2B02:00")
    rule(
        "More than nine digits of a second are refused",
        400,
        "POST /v1/events",
        EVENT | {"occurred_at": "2026-11-21T19:00:00.1234567891Z"},
    )
    rule(
        "may have a space in the place of the `T`",
        202,
        "POST /v1/events",
        EVENT | {"occurred_at": "2099-11-21 19:00:00Z"},
    )
    number = "123456789012345678901234567890"
    rule(
        "keep their digits on the way",
        202,
        "POST /v1/events",
        '{"id": "digits", "type": "acme.a", "occurred_at": "2026-11-21T19:00:00.123456789+02:00", "subject": {"id": "1"}, '
        f'"data": {{"n": {number}, "m": 1.10}}}}',
        **JSON,
    )
    rule(
        "up to nine in an `occurred_at` that came so",
        200,
        "GET /v1/events/digits",
        has="2026-11-21T17:00:00.123456789Z",
    )
    assert f'"n":{number},"m":1.10' in raw(rule.stage, "GET /v1/events/digits")[2].replace(" ", ""), (
        "digits have changed"
    )
    rule("An id that can't be one is an id of nothing: `404`", 404, "GET /v1/deliveries/12")
    rule("UUIDs are found in capitals too", 200, f"GET /v1/webhooks/{rule.made['id'].upper()}", has=rule.made["id"])
    rule("`dlv_0012` is `dlv_12`", 200, "GET /v1/deliveries/dlv_0001", has='"dlv_1"')
    rule("A number is never taken from a text", 400, f"PATCH {rule.one}", {"max_in_flight": "16"})
    rule("`max_in_flight` refuses `16.0`", 400, f"PATCH {rule.one}", '{"max_in_flight": 16.0}', **JSON)
    rule("such as `6e1`", 201, "POST /v1/tenants", '{"id": "sixty", "retention_seconds": 6e1}', **JSON)
    rule(
        "such as `quantity`, `5.0` is refused",
        400,
        "POST /v1/events",
        '{"type": "ticket.updated", "subject": {"id": "1"}, "data": {"quantity": 5.0}}',
        **JSON,
    )
    rule("in bytes, that of a tenant and of a client in characters", 400, f"PATCH {rule.one}", {"name": "é" * 128})
    rule(
        "in bytes, that of a tenant and of a client in characters",
        201,
        "POST /v1/tenants",
        {"id": "long", "name": "é" * 255},
    )


def asking_again(rule):
    log = f"{rule.one}/deliveries"
    job = rule(
        "with the job that runs already",
        202,
        f"POST {rule.one}/replay",
        {"since": "2020-01-01T00:00:00Z", "rate_per_second": 0.01},
    )
    rule(
        "with the job that runs already",
        202,
        f"POST {rule.one}/replay",
        {"since": "2020-01-01T00:00:00Z", "rate_per_second": 0.01},
        has=f'"id": "{job["id"]}"',
    )
    rule("with the job that runs already", 200, f"POST /v1/jobs/{job['id']}/stop")
    rule("a new secret or sign-in link, without", 201, f"POST {rule.one}/secret", lacks="location")
    cursor = rule("does not hold the rest of the query", 200, f"GET {log}?limit=1&type=acme.a")["next"]
    rule("does not hold the rest of the query", 200, f"GET {log}?limit=1&type=acme.a&cursor={cursor}", has="acme.a")
    rule(
        "does not hold the rest of the query", 200, f"GET {log}?limit=1&type=acme.b&cursor={cursor}", has='"items": []'
    )


def cancellations(rule):
    rule("`attempts` of a delivery counts a cancellation too", 200, f"POST {rule.one}/pause")
    rule("`attempts` of a delivery counts a cancellation too", 202, "POST /v1/events", EVENT | {"id": "off"})
    off = rule("`attempts` of a delivery counts a cancellation too", 200, "GET /v1/events/off/deliveries")["items"]
    waits = next(delivery for delivery in off if delivery["webhook_id"] == rule.made["id"])
    rule(
        "`attempts` of a delivery counts a cancellation too",
        202,
        f"POST /v1/deliveries/{waits['id']}/cancel",
        has='"attempts": 1',
    )


def statuses(rule):
    rule("a second `DELETE` is answered `404`", 204, f"DELETE {rule.one}")
    rule("a second `DELETE` is answered `404`", 404, f"DELETE {rule.one}")
    rule("is null once its webhook is deleted", 200, "GET /v1/events/digits/deliveries", has='"webhook_id": null')
    rule(
        "is told only when the rest of a webhook has no fault",
        400,
        "POST /v1/webhooks",
        {"url": "http://10.0.0.1/", "events": ["a"]},
        has="/events/0",
        lacks="/url",
    )
    rule(
        "is told only when the rest of a webhook has no fault",
        400,
        "POST /v1/webhooks",
        {"url": "http://10.0.0.1/", "events": ["*"]},
        has="/url",
    )
    rule("gives an empty list", 200, "GET /v1/events?type=nonsense", has='"items": []')
    rule("of one that does not exist gives `404`", 404, "GET /v1/failed?webhook=foo")
    rule("A path with a slash at its end is another path", 404, "GET /v1/webhooks/")
    rule("before the token is looked at", 405, "PUT /v1/webhooks", "{}", token=None, has='"allow"')
    rule("`401` without a token before the id is", 401, "GET /v1/webhooks/nonsense", token=None)
    rule("`OPTIONS` is `405`", 405, "OPTIONS /v1/webhooks", origin="https://elsewhere.example", lacks="access-control")
    rule("makes the tenant that its header names", 200, "GET /v1/webhooks", callboard_tenant="mistyped")
    rule("makes the tenant that its header names", 200, "GET /v1/tenants/mistyped")
    rule("Each answer has an `X-Request-Id`", 404, "GET /nothing", has="x-request-id")


def other_platforms(rule):
    viagogo = "/viagogo/v2/webhooks"
    sent = {"name": "v", "url": rule.hook, "topics": ["Sales"], "authorization_header": "Basic x"}
    made = rule("numbers of 32 bits", 201, f"POST {viagogo}", sent, has='"location": "http://', accept="*/*")
    of_viagogo = f"{viagogo}/{made['id']}"
    rule("`application/hal+json`, or 406", 406, f"GET {of_viagogo}", accept="text/html")
    rule(
        "is the same as left out, but for `authorization_header`",
        200,
        f"PATCH {of_viagogo}",
        {"name": None, "authorization_header": None},
        has='"authorization_header": null',
    )
    rule(
        "own members that can't be set | a fault | ignored | ignored",
        200,
        f"PATCH {of_viagogo}",
        {"id": 0, "created_at": "x"},
    )
    rule("unknown members | a fault | a fault | a fault", 400, f"PATCH {of_viagogo}", {"x": 1})
    rule("ignored, and kept in links", 200, f"GET {viagogo}?x=1", has="webhooks?x=1&page=1")
    rule("`page_size` of 1 to 10,000", 400, f"GET {viagogo}?page_size=10001")
    rule("202, with the webhook", 202, f"POST {of_viagogo}/ping", has='"topics"')
    rule("`PUT` | 405 | 405", 405, f"PUT {of_viagogo}", {})
    rule("`DELETE` | 204 | 204", 204, f"DELETE {of_viagogo}")
    tickets = "/openticket/webhook"
    sent = {"name": "a", "url": rule.hook, "resource": "ticket", "trigger": "paid", "retries": 3}
    made = rule("`guid`: the native UUID", 201, f"POST {tickets}", sent, has='"location": "/openticket/')
    of_tickets = f"{tickets}/{made['guid']}"
    rule("`guid`: the native UUID", 200, f"GET /v1/webhooks/{made['guid']}")
    words = "empties `identifier`, is no where it is yes or no, refused elsewhere"
    rule(words, 200, f"PATCH {of_tickets}", {"identifier": None}, has='"identifier": ""')
    rule(
        words,
        200,
        f"PATCH {of_tickets}",
        {"triggered_by_child_resources": None},
        has='"triggered_by_child_resources": false',
    )
    rule(words, 422, f"PATCH {of_tickets}", {"retries": None})
    rule("own members that can't be set | a fault | ignored | ignored", 200, f"PATCH {of_tickets}", {"guid": "x"})
    rule("unknown members | a fault | a fault | a fault", 422, f"PATCH {of_tickets}", {"x": 1})
    rule("`per_page` of 1 to 1,000", 422, f"GET {tickets}?per_page=1001")
    rule("of a list of webhooks ignored", 200, f"GET {tickets}?x=1", has='"link"')
    rule("of invocations a fault", 422, f"GET {of_tickets}/invocations?x=1")
    rule("replaces all settings", 200, f"PUT {of_tickets}", sent | {"trigger": "scan"})
    rule("200, with the webhook, which can still be shown", 200, f"DELETE {of_tickets}", has='"deleted_at": "')
    rule("200, with the webhook, which can still be shown", 200, f"GET {of_tickets}")


def check(stage):
    rule = Rules(stage)
    for ask in (bodies, what_is_not_known, edits, values, asking_again, cancellations, statuses, other_platforms):
        ask(rule)
    print(f"docs/api.md: {rule.asked} requests were answered as it says")
