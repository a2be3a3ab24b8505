"""A database of PostgreSQL for a page, on the server that tests may use."""

import os
import subprocess
import urllib.parse

from commands import POSTGRES


def psql(text):
    done = subprocess.run(["psql", "-v", "ON_ERROR_STOP=1", POSTGRES], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run(stage, text):
    """Makes a user and a database as a page tells to, under names that nobody else has, and
    has the page's URLs lead there. They are dropped with the stage."""
    name = f"documents_{os.getpid()}"
    stage.callback(lambda: psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE); DROP ROLE IF EXISTS {name};"))
    psql(text.replace("callboard", name))
    server = urllib.parse.urlsplit(POSTGRES)
    place = f"{server.hostname}:{server.port or 5432}"
    stage.instead["postgres://callboard@db.internal/callboard"] = f"postgres://{name}:...@{place}/{name}"
