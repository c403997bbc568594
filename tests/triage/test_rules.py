"""The rules: what triage wants of a task, seen from its text."""

from __future__ import annotations

import pytest

from hypervisor.config.settings import Settings, load
from hypervisor.tasks.front_matter import task_of
from hypervisor.tasks.read import parse
from hypervisor.triage import Plan, decide


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load(str(tmp_path_factory.mktemp("root")), preset="aops")


def with_settings(tmp_path, text: str) -> Settings:
    (tmp_path / "hypervisor.toml").write_text(text)
    return load(str(tmp_path), preset="aops")


def planned(
    settings: Settings, body: str = "", *, title: str = "Plain title", more: str = "", **options
) -> Plan:
    text = f"---\nid: t-1\ntitle: '{title}'\ntype: task\nstatus: active\n{more}---\n{body}\n"
    document = parse(text.encode(), "/x/t-1.md")
    task = task_of(document, settings)
    assert task is not None
    return decide(document, task, settings, **options)


def backlog(settings: Settings, body: str = "", assignee: str = "assignee: []\n") -> Plan:
    header = f"id: B-1\ntitle: T\nstatus: To Do\n{assignee}labels: []\ndependencies: []\n"
    text = f"---\n{header}---\n{body}"
    document = parse(text.encode(), "/x/b.md")
    task = task_of(document, settings)
    assert task is not None
    return decide(document, task, settings)


# -- closure --


@pytest.mark.parametrize("heading", ["## Close Reason", "## Closed", "##   Closed ##"])
def test_the_exact_heading_closes(settings, heading):
    got = planned(settings, f"text\n\n{heading}\n\nFixed in abc1234")
    assert (got.action, got.changes) == ("close", ("status->done",))
    assert got.close_reason == "has_close_reason"


@pytest.mark.parametrize(
    "body",
    [
        "## Closed issues of the year\n",
        "### Closed\n",
        "## Not Closed\n",
        "```\n## Close Reason\n```\n",
        "~~~md\n## Closed\n~~~\n",
        "    ## Closed\n",
        "<!--\n## Closed\n-->\n",
        "> ## Closed\n",
        "- ## Closed\n",
    ],
)
def test_what_is_not_that_very_heading_closes_nothing(settings, body):
    assert planned(settings, body).action != "close"


def test_a_heading_in_our_own_report_closes_nothing(settings):
    own = (
        "<!-- hypervisor:report 1-abcd -->\n\n## Close Reason\n\nx\n\n<!-- /hypervisor:report -->\n"
    )
    assert planned(settings, own).action == "assign:nic"


def test_a_truthy_close_reason_closes_and_an_empty_one_does_not(settings):
    got = planned(settings, more="close_reason: superseded\n")
    assert (got.close_reason, got.changes) == ("has_close_reason_field", ("status->done",))
    assert planned(settings, more="close_reason: ''\n").action == "assign:nic"


def test_a_done_task_needs_no_change_whatever_its_word_for_done(settings):
    text = b"---\nid: a\ntitle: Review it\nstatus: Completed\n---\n"
    document = parse(text, "/x/a.md")
    task = task_of(document, settings)
    assert task is not None
    got = decide(document, task, settings)
    assert (got.action, got.changes, got.close_reason) == ("close", (), "status_done")


def test_a_closed_task_is_assigned_to_nobody_but_linked(settings):
    got = planned(settings, "## Closed\n\nReview done", more="project: osb\n")
    assert got.changes == ("status->done", "added_wikilink")


def test_a_closed_backlog_task_gets_that_familys_word(settings):
    assert backlog(settings, "## Close Reason\n\nx\n").changes == ("status->Done",)


def test_a_status_word_that_a_family_lacks_is_not_invented(tmp_path):
    settings = with_settings(
        tmp_path, '[[families]]\nname = "bare"\ndetect = ["ticket"]\nfields = {id = "ticket"}\n'
    )
    document = parse(b"---\nticket: 7\ntitle: x\nstatus: open\n---\n## Closed\n\ny\n", "/x/7.md")
    task = task_of(document, settings)
    assert task is not None
    got = decide(document, task, settings)
    assert (got.action, got.changes, got.edits) == ("close", (), ())
    assert "bare" in got.notes[0]


# -- assignee --


def test_a_set_assignee_is_kept(settings):
    got = planned(settings, "Please review", more="assignee: gemini\n")
    assert (got.action, got.changes) == ("assign:gemini", ())


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("Please review it", "review"),
        ("Respond soon to her email", "respond soon to her email"),
        ("A meeting", "meeting"),
        ("the DECISION", "decision"),
        ("design: our choice", "choice"),
        ("approve it", "approve"),
        ("ask finance", "finance"),
        ("find the receipt", "receipt"),
        ("peer-review", "review"),
        ("This requires human eyes", "requires human"),
        ("It is Underspecified", "underspecified"),
        ("needs clarification", "needs clarification"),
    ],
)
def test_judgement_words_go_to_the_person_and_the_rule_names_the_word(settings, text, hit):
    got = planned(settings, text)
    assert got.changes == ("assignee->nic",)
    assert hit in got.rule.lower()


@pytest.mark.parametrize(
    "text",
    [
        "Implement the parser function",
        "fix this nasty bug",
        "test the integration",
        "refactor it",
        "update the config",
        "add a new field",
    ],
)
def test_automatable_words_go_to_the_machine(settings, text):
    assert planned(settings, text).action == "assign:bot"
    assert planned(settings, title=text).action == "assign:bot"


@pytest.mark.parametrize("text", ["implement\nthe function", "reviewer", "preview", "meetings"])
def test_words_count_whole_and_patterns_stay_on_their_line(settings, text):
    assert planned(settings, text).rule == "no other rule"


def test_judgement_wins_over_automatable(settings):
    assert planned(settings, "fix the bug", title="Review of it").action == "assign:nic"


@pytest.mark.parametrize("tags", ["tags: [bot-assigned]\n", "tags: bot-assigned\n"])
def test_the_tag_counts_as_a_list_and_as_a_scalar(settings, tags):
    got = planned(settings, more=tags)
    assert (got.action, got.rule) == ("assign:bot", "tag bot-assigned")


def test_a_scalar_tag_is_not_read_as_letters(settings):
    assert planned(settings, more="tags: review\n").rule == "no other rule"


@pytest.mark.parametrize("body", ["## Acceptance Criteria\n", "### acceptance\n", "- [ ] do it\n"])
def test_a_checklist_goes_to_the_machine(settings, body):
    assert planned(settings, body).action == "assign:bot"


@pytest.mark.parametrize(
    "body",
    [
        "> Could you review and approve this in the meeting?\n",
        "```\nreview\n- [ ] x\n## acceptance\n```\n",
        "    review\n",
        "<!-- review -->\n",
        "text <!-- review --> text\n",
        "- [x] done already\n",
    ],
)
def test_quotes_code_and_comments_fire_no_rule(settings, body):
    assert planned(settings, body).rule == "no other rule"


def test_words_in_our_own_report_fire_no_rule(settings):
    own = (
        "<!-- hypervisor:report 1-abcd -->\n\n## Worker report\n\nfix the bug\n- [ ] x\n\n"
        "<!-- /hypervisor:report -->\n"
    )
    assert planned(settings, own).rule == "no other rule"


def test_the_rules_are_settings(tmp_path):
    settings = with_settings(
        tmp_path,
        '[triage]\njudgement = "ana"\nautomatable = "robot"\n'
        'judgement_patterns = ["\\\\bzebra\\\\b"]\nautomatable_patterns = []\n',
    )
    assert planned(settings, "a zebra").changes == ("assignee->ana",)
    assert planned(settings, "please review - [ ] no box").action == "assign:ana"
    assert planned(settings, "- [ ] box").changes == ("assignee->robot",)


def test_an_empty_name_leaves_the_task_unassigned(tmp_path):
    settings = with_settings(tmp_path, '[triage]\njudgement = ""\n')
    got = planned(settings, "review")
    assert (got.action, got.changes) == ("none", ())


@pytest.mark.parametrize(
    ("assignee", "wanted"),
    [
        ("assignee: []\n", ["nic"]),
        ("", ["nic"]),
        ("assignee: ''\n", "nic"),
        ("assignee:\n", ["nic"]),
    ],
)
def test_the_assignee_is_written_in_the_form_of_the_file(settings, assignee, wanted):
    got = backlog(settings, assignee=assignee)
    assert [edit.value for edit in got.edits] == [wanted]


def test_the_other_family_gets_a_scalar(settings):
    assert [edit.value for edit in planned(settings).edits] == ["nic"]
    assert [edit.value for edit in planned(settings, more="assignee: []\n").edits] == [["nic"]]


def test_an_assignee_that_is_no_name_is_left_alone(settings):
    got = planned(settings, more="assignee: {team: x}\n")
    assert (got.action, got.changes) == ("none", ())


# -- wikilink --


@pytest.mark.parametrize(
    ("project", "target"),
    [
        ("aops", "academicOps"),
        ("framework", "academicOps"),
        ("osb", "oversight-board"),
        ("academic", "academic-work"),
        ("hdr", "hdr-supervision"),
        ("buttermilk", "buttermilk"),
        ("mediamarkets", "media-markets"),
        ("reco", "reco-project"),
        ("garden", "garden"),
    ],
)
def test_the_projects_link_is_added(settings, project, target):
    got = planned(settings, more=f"project: {project}\n")
    assert got.changes[-1] == "added_wikilink"
    assert got.edits[-1].line == f"Project: [[{target}]]"


@pytest.mark.parametrize(
    "body",
    [
        "See [[academicOps]].",
        "See [[academicOps|AO]].",
        "See [[academicOps#^abc]].",
        "See [[academicOps#Part|AO]].",
        "See [[academicops]].",
        "See [[aops]].",
        "> quoted [[academicOps]]",
        "![[academicOps]]",
    ],
)
def test_a_link_that_stands_in_any_form_is_not_added_again(settings, body):
    assert "added_wikilink" not in planned(settings, body, more="project: aops\n").changes


@pytest.mark.parametrize(
    "body",
    ["academicOps", "[[academicOps-old]]", "```\n[[academicOps]]\n```", "<!-- [[academicOps]] -->"],
)
def test_what_is_no_such_link_does_not_count(settings, body):
    assert "added_wikilink" in planned(settings, body, more="project: aops\n").changes


@pytest.mark.parametrize(
    "project", ["a]]b", "a[[b", "a|b", "a#b", '"a\\nb"', '"a\\u2028b"', "'`x`'", "x" * 300]
)
def test_a_project_that_cant_be_a_link_is_told_and_not_written(settings, project):
    got = planned(settings, more=f"project: {project}\n")
    assert "added_wikilink" not in got.changes
    assert "can't be the target" in got.notes[0]


def test_without_a_project_or_with_links_off_nothing_is_linked(settings, tmp_path):
    assert "added_wikilink" not in planned(settings).changes
    off = with_settings(tmp_path, "[triage]\nwikilinks = false\n")
    assert "added_wikilink" not in planned(off, more="project: aops\n").changes


# -- complexity --


@pytest.fixture(scope="module")
def complex_settings(tmp_path_factory):
    return with_settings(tmp_path_factory.mktemp("complex"), "[triage]\ncomplexity = true\n")


def test_complexity_is_written_only_when_switched_on(settings, complex_settings):
    assert planned(settings).changes == ("assignee->nic",)
    assert planned(complex_settings).changes == (
        "complexity->requires-judgment",
        "assignee->nic",
    )


@pytest.mark.parametrize(
    ("title", "body", "more", "wanted"),
    [
        ("T", "", "type: learn\n", "blocked-human"),
        ("T", "", "tags: [vote]\n", "blocked-human"),
        ("T", "our policy", "", "blocked-human"),
        ("T", "which one", "", "needs-decomposition"),
        ("T", "which one\n- [x] a", "", "requires-judgment"),
        ("Rename it", "", "", "mechanical"),
        ("On the movement of files", "", "", "requires-judgment"),
        ("T", "- [ ] edit `lib/x.py`", "", "mechanical"),
        ("Fix it", "in lib/x.py", "", "mechanical"),
        ("T", "## Acceptance\n" + "word " * 501, "", "multi-step"),
        ("T", "x", "complexity: own\n", None),
    ],
)
def test_complexity_rules(complex_settings, title, body, more, wanted):
    text = f"---\nid: t\ntitle: {title}\nstatus: active\n{more}---\n{body}\n"
    document = parse(text.encode(), "/x/t.md")
    task = task_of(document, complex_settings)
    assert task is not None
    got = decide(document, task, complex_settings)
    levels = [c.partition("->")[2] for c in got.changes if c.startswith("complexity")]
    assert levels == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("children", "wanted"),
    [(False, "needs-decomposition"), (True, "multi-step"), (None, "requires-judgment")],
)
def test_a_container_is_judged_by_its_children_if_they_are_known(
    complex_settings, children, wanted
):
    text = "---\nid: t\ntitle: T\ntype: epic\nstatus: active\n---\n"
    document = parse(text.encode(), "/x/t.md")
    task = task_of(document, complex_settings)
    assert task is not None
    got = decide(document, task, complex_settings, children=children)
    assert got.complexity == wanted


def test_an_explicit_assignee_wins_over_complexity(complex_settings):
    got = planned(complex_settings, title="Rename it", more="assignee: nic\n")
    assert got.changes == ("complexity->mechanical",)
    assert planned(complex_settings, title="Rename it").action == "assign:bot"


def test_a_mapped_link_may_show_another_text(tmp_path):
    settings = with_settings(tmp_path, '[triage.links]\naops = "academicOps|AO"\n')
    assert planned(settings, more="project: aops\n").edits[-1].line == "Project: [[academicOps|AO]]"
    linked = planned(settings, "[[academicOps|AO]]", more="project: aops\n")
    assert "added_wikilink" not in linked.changes
