"""Three people go from the README to their result on a machine that has nothing of ours: what they
type and read, where nothing helps them on, and how long it takes.

    python bench/people.py [developer researcher prompts]

Each has an empty HOME and a clone in a folder with a space, and types into a terminal what the
README, the tutorial, a how-to or the program's own last lines tell, with their own names for files,
queues and commands. Only the package cache of the machine is there. A **dead end** is a command of
ours that no page and no line so far has told, or one that fails without a next step, in its own
words, that works. Ends with 1 if there is one.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parent.parent
# In place of this folder, whose scripts have names that the tests use too.
sys.path[:1] = [str(REPO / "tests")]

from docs.typist import Shell

PAGES = [REPO / "README.md", *(REPO / "docs").glob("**/*.md")]
# What a shell hands on to somebody who has just logged in: where packages come from, and no more.
KEPT = re.compile(r"(PIP|UV|SSL)_.*|.*_proxy", re.IGNORECASE)
# In a line of a page, or of a terminal: a command of ours, up to where the prose goes on.
OURS = re.compile(r"(?:bin/)?hypervisor(?: [^`\n;|<>]*)?")
NO_ENDS = {"-q", "-v"}
INSTALL = (
    "git clone --quiet {repository} 'my code/hypervisor'",
    "cd 'my code/hypervisor'",
    "bin/hypervisor demo",
    'export PATH="$PWD/bin:$PATH"',
)


class Typed(NamedTuple):
    """A line that somebody types. `fails` is the exit code where the terminal tells them what is
    wrong; the next line is then what it tells them to do, as `told`, words of what it showed."""

    line: str
    fails: int = 0
    told: str = ""


class Person(NamedTuple):
    """Who it is, the files they bring, and what they type."""

    name: str
    files: str
    types: tuple[Typed | str, ...]


TASKS = """
mkdir -p ~/shop/tasks/inbox && cd ~/shop && git init --quiet
for n in $(seq 1 300); do
    status=ready; [ $((n % 30)) = 0 ] && status=done
    after=; [ $((n % 7)) = 0 ] && after="depends_on: [shop-$((n - 1))]"
    title="Rename key $n"; [ $n = 61 ] && title="Prices: round them"
    printf -- '---\\nid: shop-%s\\ntitle: %s\\ntype: task\\nstatus: %s\\n%s\\n---\\nDo it.\\n' \
        "$n" "$title" "$status" "$after" >"tasks/inbox/shop-$n.md"
done
cat >fix.sh <<'EOF'
#!/bin/sh
# Stands for an agent: it can't do every 40th task until somebody has made a file that it needs.
case $HYPERVISOR_ID in *[048]0) [ -f key.txt ] || { echo 'key.txt is missing' >&2; exit 1; } ;; esac
echo "renamed in $1"
EOF
chmod +x fix.sh
"""
VAULT = """
mkdir -p ~/vault/Projects ~/vault/Notes ~/vault/.obsidian/plugins/obsidian-tasks-plugin
cd ~/vault
echo '{"id": "obsidian-tasks-plugin"}' >.obsidian/plugins/obsidian-tasks-plugin/manifest.json
for n in $(seq 1 12); do
    printf '# Paper %s\\n\\nSee [[Notes/Methods|the methods]].\\n\\n' "$n"
    printf -- '- [ ] Read [[Smith %s]] 🆔 read%s ⏫\\n' "$n" "$n"
    printf -- '- [ ] Sum up [[Smith %s]] in a sentence ⛔ read%s 📅 2027-01-31\\n' "$n" "$n"
    printf -- '- [x] Find [[Smith %s]] ✅ 2026-01-01\\n' "$n"
done >'Projects/Papers to read.md'
echo 'Nothing to do in here.' >Notes/Methods.md
"""
PROMPTS = """
mkdir -p ~/tickets && cd ~/tickets
echo id,text >tickets.csv
seq 1 2000 | awk '{ print "t" $1 ",Customer " $1 " says that the app crashes" }' >>tickets.csv
cat >answer.json <<'EOF'
{"type": "object", "properties": {"label": {"enum": ["bug", "feature"]}}, "required": ["label"]}
EOF
echo 'Say whether `text` reports a bug or asks for a feature.' >instructions.md
printf '#!/bin/sh\\necho "{\\\\"label\\\\": \\\\"bug\\\\"}"\\n' >label.sh
chmod +x label.sh
"""
OPEN = (
    "hypervisor open tickets tickets.csv --id id --instructions instructions.md "
    "--answer answer.json"
)
PEOPLE = (
    Person(
        "a developer with 300 task files",
        TASKS,
        (
            "hypervisor preflight tasks/inbox",
            "perl -pi -e 's/^title: Prices: (.*)/title: \"Prices: $1\"/' tasks/inbox/shop-61.md",
            "hypervisor preflight tasks/inbox",
            Typed("hypervisor work tasks/inbox", 2, "-- COMMAND {path}"),
            Typed("hypervisor work tasks/inbox --workers 4 -- ./fix.sh {path}", 1, "retry"),
            "touch key.txt",
            "hypervisor retry inbox --failed",
            "hypervisor work inbox --workers 4 -- ./fix.sh {path}",
            "hypervisor status inbox",
            "hypervisor summary inbox",
            "hypervisor report inbox",
        ),
    ),
    Person(
        "a researcher with a vault",
        VAULT,
        (
            "hypervisor preflight .",
            "hypervisor open papers Projects",
            "hypervisor work papers --workers 2 -- echo {title}",
            "hypervisor summary papers",
            "hypervisor undo papers",
            "hypervisor open papers Projects --again",
            "hypervisor work papers --workers 2 -- echo {title}",
            "hypervisor results papers --out papers.csv",
        ),
    ),
    Person(
        "somebody with 2,000 prompts in a CSV",
        PROMPTS,
        (
            f"{OPEN} --first 5",
            "hypervisor work tickets --agent command --dry-run -- ./label.sh {text}",
            "hypervisor work tickets --agent command --workers 2 --halt 20 -- ./label.sh {text}",
            "hypervisor results tickets",
            OPEN,
            "hypervisor work tickets --agent command --workers 8 --halt 20 -- ./label.sh {text}",
            "hypervisor results tickets --out labels.csv",
            "hypervisor report tickets",
        ),
    ),
)


def shape(command: str) -> tuple[object, ...] | None:
    """What of a command a page has to tell: its verb, its options, how many other words it has, and
    whether a command follows `--`. None where it can't be read."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    mine, _, theirs = [list(part) for part in split(words)]
    mine = [word for word in mine[1:] if word not in NO_ENDS and word != "&"]
    if not mine:
        return None
    options = frozenset(word.partition("=")[0] for word in mine if word.startswith("-"))
    return mine[0], options, len(mine), bool(theirs)


def split(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Return what stands before `--`, and what behind it."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at : at + 1], words[at + 1 :]


def told_in(text: str) -> set[tuple[object, ...]]:
    """Return the shapes of all commands of ours in a text."""
    return {found for told in OURS.findall(text) if (found := shape(told)) is not None}


class Tally:
    """What one person has typed and read, and where they were stuck."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.known = told_in("\n".join(page.read_text(encoding="utf-8") for page in PAGES))
        self.commands = self.lines = 0
        self.stuck: list[str] = []

    def type(self, typed: Typed) -> None:
        """Type a line, and note what came of it."""
        ours = typed.line.startswith(("hypervisor", "bin/hypervisor"))
        if ours and shape(typed.line) not in self.known:
            self.stuck.append(f"nobody has told them to type: {typed.line}")
        shown, code = self.shell.type(typed.line)
        self.commands += 1
        self.lines += len(shown)
        text = "\n".join(shown)
        self.known |= told_in(text)
        if code != typed.fails:
            self.stuck.append(f"exit code {code}: {typed.line}\n{text}")
        elif code and typed.told not in text:
            self.stuck.append(f"no word of {typed.told!r}: {typed.line}\n{text}")


def play(person: Person) -> tuple[Tally, float]:
    """Have a person do it all; return what they met, and the seconds that it took them."""
    with tempfile.TemporaryDirectory() as at:
        home = Path(at) / "somebody"
        home.mkdir()
        environment = {name: told for name, told in os.environ.items() if KEPT.fullmatch(name)}
        environment["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        shell = Shell(home, environment, fresh=True, patience=3600)
        begun = time.monotonic()
        try:
            tally = Tally(shell)
            for line in INSTALL:
                tally.type(Typed(line.format(repository=shlex.quote(str(REPO)))))
            shown, code = shell.type(person.files)
            assert code == 0, shown
            for typed in person.types:
                tally.type(typed if isinstance(typed, Typed) else Typed(typed))
            return tally, time.monotonic() - begun
        finally:
            shell.close()


def main() -> int:
    wanted = sys.argv[1:]
    print("| | commands typed | lines read | dead ends | minutes |")
    print("|---|---|---|---|---|")
    stuck: list[str] = []
    for person in PEOPLE:
        if wanted and not any(word in person.name for word in wanted):
            continue
        tally, seconds = play(person)
        stuck += [f"{person.name}: {told}" for told in tally.stuck]
        told = (person.name, tally.commands, tally.lines, len(tally.stuck), f"{seconds / 60:.1f}")
        print(f"| {' | '.join(map(str, told))} |", flush=True)
    print("", *stuck, sep="\n")
    return 1 if stuck else 0


if __name__ == "__main__":
    raise SystemExit(main())
