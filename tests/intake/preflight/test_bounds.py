"""One bad file, row or list never stops or slows what stands beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from hypervisor.intake.preflight import Preflight

Write = Callable[..., Path]
Sort = Callable[..., Preflight]

_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{key}: &{key} [" + ",".join([f"*{before}"] * 9) + "]\n"
    for before, key in zip("abcdefghijklmn", "bcdefghijklmno", strict=True)
)
_HEADERS = {
    "bomb": f"{_BOMB}tags: *o",
    "merge": "<<: &m {a: 1, <<: *m}",
    "deep": "tags: " + "[" * 50_000,
    "twice": "title: again",
    "python": "x: !!python/object/apply:os.system [true]",
    "nul": "x: \0",
    "wide": "tags: [" + "x," * 50_000 + "]",
    "itself": "tags: &t [*t]",
}


def test_a_folder_of_bad_files_leaves_the_good_ones_ready(
    task: Write, write: Write, sort: Sort, project: Path
) -> None:
    task("ok.md")
    task("zz.md")
    for name, line in _HEADERS.items():
        write(f"{name}.md", f"---\nid: {name}\ntitle: T\nstatus: active\n{line}\n---\nDo it.\n")
    write("utf16.md", "---\nid: u\nstatus: active\n---\n".encode("utf-16"))
    write("open.md", "---\nid: o\nstatus: active\n")
    write("lines.md", "---\nid: l\nstatus: active\n---\n" + "* \n" * 200_000)
    (project / "large.md").touch()
    os.truncate(project / "large.md", 100 << 20)
    (project / "device.md").symlink_to("/dev/zero")
    os.mkfifo(project / "pipe.md")
    began = time.process_time()
    checked = sort(".", "pipe.md")
    assert time.process_time() - began < 5
    assert [entry.id for entry in checked.ready] == ["ok", "zz"]
    broken = {entry.path: entry.line for entry in checked.broken}
    assert broken.keys() == {f"{name}.md" for name in _HEADERS} | {
        "utf16.md", "open.md", "lines.md", "large.md", "device.md",
        "pipe.md",
    }  # fmt: skip
    lines = {path: line for path, line in broken.items() if line is None}
    assert lines.keys() == {"large.md", "device.md", "pipe.md"}, (
        "a line is told where one is to blame"
    )


def test_an_id_that_no_store_can_look_up_is_broken_with_its_line(task: Write, sort: Sort) -> None:
    task("a.md", id="x" * 501)
    task("b.md", id="x" * 500)
    checked = sort()
    assert [entry.path for entry in checked.ready] == ["b.md"]
    (broken,) = checked.broken
    assert (broken.line, broken.reason) == (2, "id is longer than 500 characters")


def test_a_row_that_names_a_file_outside_is_held(write: Write, sort: Sort, project: Path) -> None:
    (project / "out").symlink_to("/tmp")
    write("r.csv", "id,files\na,src/x.py\nb,../mine/y\nc,/etc/passwd\nd,out/z\ne,src/../../y\n")
    checked = sort("r.csv", instructions=True, files_from="files", id_column="id")
    assert [entry.id for entry in checked.ready] == ["a"]
    assert [(entry.id, entry.kind) for entry in checked.held] == [
        (item, "outside") for item in "bcde"
    ]
