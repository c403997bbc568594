"""Where a hole in a command line may stand, and what fills it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from hypervisor.agents.command import holes
from hypervisor.system.errors import UsageError

VALUES = {
    "id": "t-1",
    "path": "a.md",
    "title": "One",
    "token": "7-x",
    "queue": "q",
    "prompt": "say",
}

IN_CODE = [
    "sh -c 'echo {prompt}'",
    "/bin/sh -c 'wc -c {path}'",
    "bash -lc 'echo {id}'",
    "bash -ec 'echo \"{title}\"'",
    "bash -o pipefail -c 'echo {prompt}'",
    "bash -c -o pipefail 'echo {prompt}'",
    "bash -c -- 'echo {prompt}'",
    "bash --norc --rcfile f -c 'echo {prompt}'",
    "bash +x -c 'echo {prompt}'",
    "bash -c {prompt}",
    "bash -{prompt} x",
    "zsh -c '{prompt}'",
    "dash -c 'echo {a column}' x",
    "ksh -c 'echo {prompt}'",
    "fish --command='echo {prompt}'",
    "busybox sh -c 'echo {prompt}'",
    "env sh -c 'echo {prompt}'",
    "env -i A=1 -u B sh -c 'echo {prompt}'",
    "env -S 'echo {prompt}'",
    "python -c 'print(\"{prompt}\")'",
    "python3.12 -Ic 'print(\"{prompt}\")'",
    "python3 -W ignore -c 'print(\"{prompt}\")'",
    "python3 '-cprint(\"{prompt}\")'",
    "perl -e 'print \"{prompt}\"'",
    "perl -I lib -lne 'print if /{prompt}/' f",
    "perl -e 1 -e '{prompt}'",
    "node -e 'console.log(\"{prompt}\")'",
    "node --eval='{prompt}'",
    "node --require m --eval '{prompt}'",
    "node22 -p '{prompt}'",
    "ruby -e 'puts \"{prompt}\"'",
    "ruby -rjson -ne '{prompt}'",
    "php -r 'echo {prompt};'",
    "awk '/{prompt}/ { print $1 }' f",
    "awk -F , -v x=1 '/{prompt}/' f",
    "gawk -e '/{prompt}/' f",
    "mawk -- '/{prompt}/' f",
    "sed 's/a/{prompt}/' f",
    "sed -n -e '/{prompt}/p' f",
    "ssh host 'echo {prompt}'",
    "ssh host rm {path}",
    "ssh -p 22 host cat {path}",
    "xargs sh -c 'echo {prompt}'",
    "xargs -n1 bash -c 'echo {prompt}' x",
    r"find . -name x -exec sh -c 'echo {prompt}' \;",
    "sudo -u me sh -c 'echo {prompt}'",
    "sudo bash -c 'echo {prompt}'",
    "timeout 5 sh -c 'echo {prompt}'",
    "timeout -k 1 5 nice -n 3 sh -c 'echo {prompt}'",
    "nohup setsid stdbuf -oL bash -c 'echo {prompt}'",
    "docker run --rm img sh -c 'echo {prompt}'",
    "kubectl exec pod -- bash -c 'echo {prompt}'",
    "su me -c 'echo {prompt}'",
    "script -qc 'echo {prompt}' /dev/null",
    "flock f -c 'echo {prompt}'",
    "eval 'echo {prompt}'",
    "eval echo {prompt}",
    "parallel echo {prompt}",
    "watch 'echo {prompt}'",
    "sudo watch 'echo {prompt}'",
    "make X={prompt}",
    "psql -c 'select {prompt}'",
    "sqlite3 db 'select {prompt}'",
    "vim -c '{prompt}' f",
    "timeout 5 {prompt}",
    "nice -n 5 env A=b {prompt} x",
    "find . -exec {prompt} ;",
    "sed --expression s/{id}/x/ f",
    "awk --source '{{print}}{prompt}' f",
    "git -c alias.x='!{prompt}' x",
    "tar -I {prompt} -cf x y",
    "rsync -e '{prompt}' a b",
    "npx -c 'echo {prompt}'",
    "nu -c 'echo {prompt}'",
    "R -e '{prompt}'",
    "tsx -e '{prompt}'",
    "{prompt} x",
    "./{id}",
]
ALLOWED = {
    "sh -c 'echo \"$1\"' sh {prompt}": "sh -c 'echo \"$1\"' sh say",
    "bash -lc 'echo \"$@\"' x {id} {prompt}": "bash -lc 'echo \"$@\"' x t-1 say",
    "sh -c 'hypervisor done {token}'": "sh -c 'hypervisor done 7-x'",
    "sh -c 'echo ${HOME} ${prompt}' sh": "sh -c 'echo ${HOME} ${prompt}' sh",
    "sh script.sh {path}": "sh script.sh a.md",
    "sh script.sh -c {path}": "sh script.sh -c a.md",
    "python3 convert.py {path}": "python3 convert.py a.md",
    "python3 -u convert.py -c {path}": "python3 -u convert.py -c a.md",
    "python3 -m tool -c {path}": "python3 -m tool -c a.md",
    "python3 -c 'print(1)' {path}": "python3 -c 'print(1)' a.md",
    "perl -pe 's/a/b/' {path}": "perl -pe 's/a/b/' a.md",
    "node tool.js -e {path}": "node tool.js -e a.md",
    "awk '{ print $1 }' {path}": "awk '{ print $1 }' a.md",
    "awk '{{print}}' {path}": "awk '{print}' a.md",
    "awk -f prog.awk {path}": "awk -f prog.awk a.md",
    "sed -e s/a/b/ {path}": "sed -e s/a/b/ a.md",
    "find . -name {path}": "find . -name a.md",
    "timeout 5 ./fix.sh {path}": "timeout 5 ./fix.sh a.md",
    "timeout 5 env A={id} ./fix.sh {path}": "timeout 5 env A=t-1 ./fix.sh a.md",
    "git commit -m {prompt}": "git commit -m say",
    "tar -cf {id}.tar {path}": "tar -cf t-1.tar a.md",
    "./do watch {id}": "./do watch t-1",
    "./x.py make at {id}": "./x.py make at t-1",
    'curl -d \'{"a":1,"b":{"c":{}}}\' {id}': 'curl -d \'{"a":1,"b":{"c":{}}}\' t-1',
    "echo {{id}} {} {1} { id } {a,b} {a: b} [{id}]": "echo {id} {} {1} { id } {a,b} {a: b} [t-1]",
    "echo --title={title} -- {prompt}": "echo --title=One -- say",
}


@pytest.mark.parametrize("line", IN_CODE)
def test_a_hole_in_code_is_refused_with_a_form_that_is_not(line: str) -> None:
    with pytest.raises(UsageError) as refused:
        holes.check(shlex.split(line))
    assert refused.value.exit_code == 2
    assert refused.value.fix
    told = re.match(r"write: (.*?)(?:; for the braces.*)?$", refused.value.fix)
    if told:
        words = shlex.split(told[1])
        holes.check(words)
        assert set(holes.names(words)) == set(holes.names(shlex.split(line)))


@pytest.mark.parametrize("line", ALLOWED)
def test_elsewhere_holes_are_filled_and_other_braces_stay(line: str) -> None:
    words = shlex.split(line)
    holes.check(words)
    assert holes.fill(words, VALUES) == shlex.split(ALLOWED[line])


@pytest.mark.parametrize(
    "script",
    ["echo {prompt}", "echo '{prompt}'", 'echo "{prompt}"', 'echo "is {prompt} it"',
     "echo 'is {prompt} it'", 'echo "$1" {prompt}', "echo {prompt} {id} {prompt}"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["$(touch P)", "x; touch P", "a  b'\"`touch P`", "* \\n"])
def test_the_form_that_is_printed_hands_the_value_over_as_it_is(
    script: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        holes.check(["sh", "-c", script, *(["sh", "first"] if "$1" in script else [])])
    words = shlex.split(refused.value.fix.removeprefix("write: ").partition("; for")[0])
    filled = holes.fill(words, {"prompt": value, "id": "t-1"})
    filled[2] = filled[2].replace("echo", "printf '%s|'")
    ran = subprocess.run(filled, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert value in ran.stdout
    assert os.listdir(tmp_path) == []


def test_a_link_of_another_name_to_a_shell_is_a_shell(tmp_path: Path) -> None:
    (tmp_path / "tool").symlink_to("/bin/bash")
    with pytest.raises(UsageError):
        holes.check([str(tmp_path / "tool"), "-c", "echo {id}"])


def test_a_misspelt_hole_is_told_with_the_columns_that_exist() -> None:
    rows = iter([None, {"prompt": "a", "n": 1}, {"more": 2}])
    with pytest.raises(UsageError) as refused:
        holes.check_names(["echo", "{promt}"], rows)
    told = str(refused.value)
    assert "{promt}" in told and "did you mean {prompt}?" in told
    assert "id, path, title, token, queue, prompt, n, more" in told and "{{promt}}" in told


@pytest.mark.parametrize("word", ["{ prompt }", "x{prompt }", "{{ id }}"])
def test_a_known_name_with_blanks_in_its_braces_is_told_as_a_slip(word: str) -> None:
    with pytest.raises(UsageError, match="blanks in its braces"):
        holes.check_names(["echo", word], iter([{"prompt": "a"}]))
    holes.check_names(["awk", "{ print }"], iter([{"prompt": "a"}]))


def test_rows_are_read_only_until_every_name_is_known() -> None:
    rows = iter([{"a": 1}, {"b": 1}, {"c": 1}])
    holes.check_names(["echo", "{a}", "{b}", "{id}", "{{d}}"], rows)
    assert next(rows) == {"c": 1}
    holes.check_names(["echo", "{path}"], iter([]))


@pytest.mark.parametrize(
    ("line", "told"),
    [("echo {path}", ["echo", "./-x"]), ("echo [{title}]", ["echo", "[-x]"]),
     ("echo --to={title}", ["echo", "--to=-x"]), ("echo -- {title}", ["echo", "--", "-x"]),
     ("sh -c 'echo \"$1\"' sh {title}", ["sh", "-c", 'echo "$1"', "sh", "-x"]),
     ("echo -{title}", ["echo", "--x"])],
)  # fmt: skip
def test_a_value_with_a_dash_is_filled_where_it_is_no_option(line: str, told: list[str]) -> None:
    assert holes.fill(shlex.split(line), {"path": "-x", "title": "-x"}) == told


@pytest.mark.parametrize("line", ["echo {title}", "sh {title} x", "echo {empty}{title}"])
def test_a_value_that_would_be_an_option_is_refused(line: str) -> None:
    with pytest.raises(holes.Unfit, match="begins with a dash"):
        holes.fill(shlex.split(line), {"title": "-x", "empty": ""})
