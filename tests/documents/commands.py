"""What a block for a shell asks for: which of its commands can be run here, and whether
the program would understand those that can't."""

import functools
import os
import re
import shlex
import shutil
import subprocess

from blocks import ROOT

SEPARATORS = {"|", "||", "&&", ";", "&", "|&"}
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
BUILT_HERE = ["cargo", "run", "--release", "--"]

# Where tests may make databases, if anywhere: see tests/postgres.
POSTGRES = os.environ.get("CALLBOARD_TEST_POSTGRES") if shutil.which("pg_dump") else None
NO_POSTGRES = None if POSTGRES else "needs a PostgreSQL server, as tests/postgres starts one"

# What can be run: the start of a command.
RUN = ["callboard", "curl", "printf", "echo", "export", "mkdir", "python3 -c"]
# What can't, and why, or None if it can: the start of a command. The longest start that fits decides.
NOT_RUN = {
    "sudo": "changes the system",
    "head": "changes the system",
    "grep": "changes the system",
    "base64": "changes the system",
    "sh": "installs Rust",
    ".": "installs Rust",
    "docker": "needs a container engine",
    "kubectl": "needs a cluster",
    "helm": "needs a cluster",
    "pg_dump": NO_POSTGRES,
    "pg_restore": NO_POSTGRES,
    "callboard migrate-data": NO_POSTGRES,
    "packaging/compose/make-secrets": "writes secrets into the repository",
    "packaging/debian/build": "needs a release build",
    "cargo build": "builds for minutes",
    "cargo run --release -p": "measures for minutes",
    "callboard bench": "measures for minutes",
    "./test": "calls this check",
    "cd": "is done by examples/receivers/test",
    "python3 -m venv": "is done by examples/receivers/test",
    ".venv/bin/pip": "is done by examples/receivers/test",
    ".venv/bin/python": "is done by examples/receivers/test",
}
# What does not end by itself.
ENDLESS = ["callboard serve", "callboard demo", "callboard listen", "curl -N", "python3 -c"]


def logical_lines(text):
    """The words of each line, with quotes and continued lines together."""
    buffer = ""
    for line in text.splitlines():
        buffer += line + "\n"
        if line.endswith("\\"):
            buffer = buffer[:-2] + " "
            continue
        reader = shlex.shlex(buffer, posix=True, punctuation_chars=True)
        reader.whitespace_split = True
        try:
            words = list(reader)
        except ValueError:
            continue  # a quote is open
        buffer = ""
        if words:
            yield words
    assert not buffer, f"the end is missing: {buffer}"


def simple_commands(text):
    """The commands of a block, each as its words, without variables that are set for it
    and without redirections."""
    found = []
    for words in logical_lines(text):
        command, skip = [], False
        for word in [*words, ";"]:
            if word in SEPARATORS:
                # What only sets variables is no command.
                if command:
                    found.append(command)
                command = []
            elif skip:
                skip = False
            elif set(word) <= set("<>&"):
                skip = True
            elif command or not ASSIGNMENT.match(word):
                command.append(word)
    return [as_program(command) for command in found]


def as_program(command):
    """`cargo run --release -- X` is the program's X."""
    own = command[:4] == BUILT_HERE and command[4:]
    return ["callboard", *command[4:]] if own else command


def begins(command, start):
    return command[: len(start.split())] == start.split()


def reason_not_to_run(command):
    """Why a command is not run here, or None."""
    fitting = [start for start in [*RUN, *NOT_RUN] if begins(command, start)]
    assert fitting, f"tests/documents/commands.py has no rule for {' '.join(command[:3])}"
    if command[0] == "curl" and not any(re.search(r"//(127\.0\.0\.1|localhost)[:/]", word) for word in command):
        return "needs the network"
    return NOT_RUN.get(max(fitting, key=len))


def is_endless(command):
    return any(begins(command, start) for start in ENDLESS)


class CommandLine:
    """The program's own help, as a judge of command lines."""

    def __init__(self, program):
        self.program = program

    @functools.cache
    def help(self, *path):
        asked = subprocess.run([self.program, *path, "--help"], capture_output=True, text=True, check=True)
        return asked.stdout

    def subcommands(self, *path):
        listed = re.search(r"^Commands:\n((?:  .*\n|\n)*)", self.help(*path), re.MULTILINE)
        return set(re.findall(r"^  ([a-z][a-z-]*)", listed[1], re.MULTILINE)) if listed else set()

    def within(self, command):
        """What a command has the program do, also one like `docker exec callboard callboard keys list`."""
        known = self.subcommands()
        starts = [
            index for index, word in enumerate(command[:-1]) if word == "callboard" and command[index + 1] in known
        ]
        return command[starts[-1] :] if starts else command if command[0] == "callboard" else None

    def fault(self, command):
        """What is wrong with the words of a command of the program, or None."""
        words, path = command[1:], []
        while words and words[0] in self.subcommands(*path):
            path.append(words.pop(0))
        named = self.subcommands(*path)
        # A name in capitals stands for one of yours.
        if named and words and not words[0].startswith("-") and not words[0].isupper():
            return f"{' '.join(['callboard', *path])} has no command {words[0]}"
        known = set(re.findall(r"(?<![\w-])--?[A-Za-z][a-z-]*", self.help(*path)))
        for word in words:
            if word == "--":
                break
            flag = word.partition("=")[0]
            if re.match(r"--?[A-Za-z]", flag) and flag not in known:
                return f"{' '.join(['callboard', *path])} has no {flag}"
        return None


def missing_paths(command):
    """What looks like a file of this repository and is none."""
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"target"}
    return [word for word in command if word.partition("/")[0] in tops and not (ROOT / word).exists()]
