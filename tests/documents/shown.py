"""Compares what a page shows with what came.

What is other each time may differ: times, ids, secrets, ports, how long something took.
Everything else is as it is shown, and `...` stands for whatever was left out.
"""

import json
import re

# What is other each time, in the order in which it is looked for.
VOLATILE = [
    (r"\b(cb[a-z]|whsec|whpk|dlv|job|ptl|aud|nonce)_[A-Za-z0-9+/=_-]+", r"\1_"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", "TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "CLOCK"),
    (r"(?<=[A-Za-z0-9]):\d{4,5}\b", ":PORT"),
    (r"\b\d+ ms\b", "N ms"),
    (r"\b1[0-9]{9}\b", "SECONDS"),
    (r"\b[0-9a-f]{16}-\d+\b", "REQUEST"),
    (r"\bduration_us=\d+", "duration_us=N"),
    (r"\bA{6}[A-Za-z0-9_-]{5}\b", "CURSOR"),
    (r"https?://[A-Za-z0-9.:-]+(?=/|\b)", "SITE"),
    (r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS"),
    (r"\s+", " "),
]
WORD = re.compile(r"[a-z_.]+")


def steady(text):
    """A text without what is other each time."""
    for pattern, instead in VOLATILE:
        text = re.sub(pattern, instead, text)
    return text.strip()


def same_text(shown, real):
    parts = [re.escape(part) for part in steady(shown).split("...")]
    return re.fullmatch(".*".join(parts), steady(real), re.DOTALL) is not None


def lines_missing(shown, printed):
    """The lines of a text block that were not printed."""
    real = [*printed]
    wanted = [line for line in shown.splitlines() if line.strip() not in ("", "...")]
    return [line for line in wanted if not any(same_text(line, one) for one in real)]


def difference(shown, real, place=""):
    """Where a JSON value that is shown differs from a real one, or None."""
    if shown == "...":
        return None
    kinds = [float if isinstance(one, int) and not isinstance(one, bool) else type(one) for one in (shown, real)]
    if kinds[0] is not kinds[1]:
        return f"{place}: {json.dumps(shown)} is shown, and {json.dumps(real)} came"
    if isinstance(shown, dict):
        more = shown.pop("...", None) is not None
        wrong = (shown.keys() - real.keys()) if more else (shown.keys() ^ real.keys())
        if wrong:
            return f"{place}: {', '.join(sorted(wrong))} is shown and did not come, or the other way round"
        found = (difference(shown[name], real[name], f"{place}/{name}") for name in shown)
        return next(filter(None, found), None)
    if isinstance(shown, list):
        for index, one in enumerate(shown):
            found = [difference(one, other, f"{place}/{index}") for other in real]
            if None not in found:
                return next(iter(found), f"{place}/{index}: nothing such came")
        return None
    if isinstance(shown, str):
        # Words and sentences are the program's; what is neither is other each time, or chosen by who calls.
        ours = WORD.fullmatch(shown) or " " in shown
        return None if not ours or same_text(shown, real) else f"{place}: {shown!r} is shown, and {real!r} came"
    if isinstance(shown, bool):
        return None if shown == real else f"{place}: {shown} is shown, and {real} came"
    return None


def parts(value):
    """A value and everything within it."""
    yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(one)


def json_fault(text, answers):
    """What is wrong with a JSON block that shows an answer, a part of one, or what was sent."""
    shown = json.loads(text)
    best = None
    for part in (part for answer in answers for part in parts(answer)):
        if type(part) is not type(shown):
            continue
        fault = difference(json.loads(text), part)
        if fault is None:
            return None
        common = len(shown.keys() & part.keys()) if isinstance(shown, dict) else 0
        best = max(best or (0, "nothing like it came"), (common, fault), key=lambda pair: pair[0])
    return (best or (0, "nothing came"))[1]
