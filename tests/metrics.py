"""Publishes something to a server, scrapes it, and looks whether every metric that the
dashboard, the alerts and the documentation name is in the scrape.

Arguments: the server's URL, the operator's token, and where to write the scrape.
"""

import json
import re
import sys
import time
import urllib.request

# What the machine or Prometheus itself tells, not Callboard.
OF_OTHERS = {"node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
DASHBOARD = "packaging/grafana/callboard.json"
ALERTS = "packaging/prometheus/alerts.yaml"
GUIDE = "docs/operating.md"
NAME = re.compile(r"\b(?:callboard|process|node)_[a-z0-9_]+\b")


def ask(url, token, body=None):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
        return answer.read().decode()


def published(url, token):
    """One delivery that fails, because nobody listens at that port."""
    webhook = {"url": "http://127.0.0.1:9/", "events": ["ticket.*"], "retry": {"schedule_seconds": []}}
    ask(f"{url}/v1/webhooks", token, webhook)
    event = {"type": "ticket.updated", "subject": {"id": "1"}, "data": {}}
    ask(f"{url}/v1/events", token, event)
    for _ in range(100):
        scrape = ask(f"{url}/metrics", token)
        if 'callboard_deliveries_given_up_total{cause="connect"} 1' in scrape.splitlines():
            return scrape
        time.sleep(0.1)
    raise SystemExit(f"the delivery was not given up:\n{scrape}")


def expressions(panel):
    for target in panel.get("targets", []):
        yield target["expr"]
    for inner in panel.get("panels", []):
        yield from expressions(inner)


def headings(path):
    """The anchors of a page's headings, as they are linked to."""
    lines = [line for line in open(path, encoding="utf-8") if line.startswith("#")]
    plain = (re.sub(r"[^a-z0-9 _-]", "", line.lstrip("# ").strip().lower()) for line in lines)
    return {line.replace(" ", "-") for line in plain}


def faults(scrape):
    families = set(re.findall(r"^# TYPE (\S+)", scrape, re.M))
    samples = {re.split(r"[{ ]", line)[0] for line in scrape.splitlines() if not line.startswith("#")}
    dashboard = json.load(open(DASHBOARD, encoding="utf-8"))
    asked = {DASHBOARD: set()}
    for panel in dashboard["panels"]:
        for expression in expressions(panel):
            asked[DASHBOARD] |= set(NAME.findall(expression))
    alerts = open(ALERTS, encoding="utf-8").read()
    asked[ALERTS] = set(NAME.findall(re.sub(r"^ *#.*$", "", alerts, flags=re.M)))
    documented = set(re.findall(r"^\| `([a-z0-9_]+)", open(GUIDE, encoding="utf-8").read(), re.M))
    for path, names in asked.items():
        for name in sorted(names - samples - families - OF_OTHERS):
            yield f"{path} asks for {name}, which is not told"
    for name in sorted(families - documented):
        yield f"{name} is told, and not in {GUIDE}"
    for name in sorted(families):
        if not re.fullmatch(r"[a-z_]+", name):
            yield f"{name} is no name for a metric"
    # Labels have their values from closed lists: there are only so many samples.
    count = sum(1 for line in scrape.splitlines() if not line.startswith("#"))
    if count > 500:
        yield f"{count} samples are told"
    for page, anchor in re.findall(r"runbook: (\S+\.md)#(\S+)", alerts):
        if anchor not in headings(page):
            yield f"{ALERTS} links to {page}#{anchor}, which does not exist"
    if not asked[DASHBOARD]:
        yield f"{DASHBOARD} asks for nothing"


def main():
    url, token, path = sys.argv[1:]
    scrape = published(url, token)
    with open(path, "w", encoding="utf-8") as file:
        file.write(scrape)
    found = list(faults(scrape))
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
