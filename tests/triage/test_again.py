"""A second run changes no byte, whatever the task looks like and whatever the rules say."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as test_settings
from hypothesis import strategies as st

from hypervisor.cli.demo_files import files
from hypervisor.config.settings import Settings, load
from hypervisor.system.errors import BrokenFile
from hypervisor.tasks import edit
from hypervisor.tasks.edit import EditRefused
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import parse
from hypervisor.triage import decide, stands

VARIANTS = {
    "defaults": "",
    "preset": 'preset = "aops"\n',
    "complexity": "[triage]\ncomplexity = true\n",
    "unassigned": '[triage]\njudgement = "nic"\nautomatable = ""\ncomplexity = true\n',
    "nobody": '[triage]\njudgement = ""\n',
}


@pytest.fixture(scope="module", params=list(VARIANTS))
def settings(request, tmp_path_factory) -> Settings:
    root = tmp_path_factory.mktemp("root")
    (root / "hypervisor.toml").write_text(VARIANTS[request.param])
    return load(str(root))


def triaged(raw: bytes, settings: Settings) -> bytes | None:
    """Return the bytes after one run, None where triage writes nothing into such a file."""
    try:
        document = parse(raw, "/x/task.md")
    except BrokenFile:
        return None
    task = task_of(document, settings)
    if task is None:
        return None
    wanted = decide(document, task, settings)
    try:
        return edit.edit(document, wanted.edits).after
    except EditRefused:
        return None


def check_twice(raw: bytes, settings: Settings) -> bool:
    once = triaged(raw, settings)
    if once is None:
        return False
    document = parse(once, "/x/task.md")
    task = task_of(document, settings)
    assert task is not None
    again = decide(document, task, settings)
    assert again.edits == ()
    first = parse(raw, "/x/task.md")
    first_task = task_of(first, settings)
    assert first_task is not None
    changes = list(decide(first, first_task, settings).changes)
    if changes:
        # What a crashed worker had planned is seen to stand in the file that it wrote.
        assert stands(changes, document, task, settings)
        assert not stands(changes, first, first_task, settings)
    return once != raw


def test_over_the_example_files(settings):
    changed = [path for path, raw in files() if check_twice(raw, settings)]
    assert len(changed) > 10


def test_over_a_real_backlog(settings, backlog_md):
    count = 0
    for folder, _, names in os.walk(backlog_md):
        for name in names:
            with open(os.path.join(folder, name), "rb") as source:
                check_twice(source.read(), settings)
            count += 1
    assert count


_LINES = st.sampled_from(
    [
        "# Heading", "Heading\n=======", "## Close Reason", "## Closed", "## Acceptance Criteria",
        "```", "~~~", "<!--", "-->", "> review", "- [ ] box", "- [x] box", "", "    code",
        "review", "fix the bug", "rename it in lib/x.py", "which one", "[[garden]]",
        "[[academicOps|AO]]", "Project: [[finance]]", "Project: [[meeting]]", "---", "# install",
        "<!-- hypervisor:report 1-abcd -->", "<!-- /hypervisor:report -->", "- item\n\n  # inner",
    ]
)  # fmt: skip
_KEYS = st.sampled_from(
    [
        "project: garden", "project: finance", "project: meeting", "project: aops", "tags: review",
        "tags: [bot-assigned]", "assignee:", "assignee: []", "assignee: ''", "assignee: nic",
        "assignee: [a, b]", "labels: []", "dependencies: []", "close_reason: yes", "type: learn",
        "type: epic", "complexity:", "complexity: mechanical", "# a comment",
        "note: |\n  status: x",
        "status: Done", "status: active", "status: To Do", 'project: "a]]b"', "project: '[[osb]]'",
    ]
)  # fmt: skip


@test_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(_KEYS, max_size=5, unique_by=lambda line: line.partition(":")[0]),
    lines=st.lists(_LINES, max_size=10),
    newline=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    ending=st.booleans(),
)
def test_over_generated_tasks(settings, keys, lines, newline, bom, ending):
    text = "\n".join(["---", "id: t", "title: T", *keys, "---", *lines]) + "\n" * ending
    raw = b"\xef\xbb\xbf" * bom + text.replace("\n", newline).encode()
    check_twice(raw, settings)
