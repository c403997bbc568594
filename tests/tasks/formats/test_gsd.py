"""GSD: a phase an item, and nothing is written."""

from __future__ import annotations

from pathlib import Path

from hypervisor.tasks import formats
from tasks.formats.support import ended, items

ROADMAP = """\
# Roadmap

- [x] **Phase 1: Layout** - the folders (completed 2026-01-02)
- [ ] **Phase 2: Import** - read events
- [ ] **Phase 2.1: Repair** (INSERTED)
- [ ] **Phase 3: Export**

## Phase Details

### Phase 2: Import
**Goal**: events are read
**Depends on**: Phase 1 (done)
Plans:
- [ ] 02-01: Parser

### Phase 3: Export
**Depends on**: Phase 2, Phase 2.1
"""


def test_phases_are_items_behind_those_that_they_name(tmp_path: Path) -> None:
    path = str(tmp_path / "ROADMAP.md")
    found = items("gsd", ROADMAP, path)
    assert list(found) == ["1", "2", "2.1", "3"]
    assert found["1"].state == "done"
    assert found["2.1"].depends_on == ("2",), "it says nothing, and goes behind the one before it"
    assert found["3"].depends_on == ("2", "2.1")
    assert "02-01: Parser" in found["2"].text
    assert ended("gsd", ROADMAP, "2", path) == ROADMAP


def test_a_phase_is_done_when_each_plan_has_its_summary(tmp_path: Path) -> None:
    path = tmp_path / ".planning/ROADMAP.md"
    phase = tmp_path / ".planning/phases/02-import"
    phase.mkdir(parents=True)
    path.write_text(ROADMAP)
    (phase / "02-01-PLAN.md").touch()
    assert items("gsd", ROADMAP, str(path))["2"].state == "ready"
    (phase / "02-01-SUMMARY.md").touch()
    kind = formats.get("gsd")
    assert items("gsd", ROADMAP, str(path))["2"].state == "done"
    [one] = kind.find(str(path), ROADMAP, "2", None)
    assert one.state == "done"
    assert [file for _, file in formats.in_folder(str(path.parent))] == [str(path)]
