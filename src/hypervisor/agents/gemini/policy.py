"""The policy of a Gemini CLI worker: deny everything, then allow what its work needs.

Use it with `--approval-mode=default`: if the file is missing or broken, that mode still refuses
writes, commands and MCP tools, where `--yolo` lets all through.
"""

from __future__ import annotations

from hypervisor.agents.mcp import SERVER, TOOLS
from hypervisor.system.protected import FILES, FOLDERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_READING = ("read_file", "list_directory", "glob", "grep_search")
_WRITING = ("write_file", "replace")


def policy(commands: Iterable[str] = ()) -> str:
    """Return the policy file of a worker that may run `commands` (checked beginnings of command
    lines) besides the queue's tools and the file tools."""
    rules = [
        _rule(["*"], "deny", 100, message="SCOPE: not in the worker's allow list"),
        _rule(_READING, "allow", 200),
        _rule(_WRITING, "allow", 200),
        _rule(TOOLS, "allow", 200, server=SERVER),
    ]
    granted = list(commands)
    if granted:
        rules.append(_rule(["run_shell_command"], "allow", 200, prefixes=granted))
    for pattern, message in _REFUSED:
        rules.append(_rule(_WRITING, "deny", 300, pattern=pattern, message=message))
    return "\n".join([_HEAD, *rules])


_HEAD = """\
# The boundaries of a headless worker, made by hypervisor. Use it with --approval-mode=default.
# The client matches patterns against the arguments as JSON, each pair between two NUL characters.
"""


def closed() -> str:
    """Return the policy file of a judge: no tool at all."""
    return _HEAD + _rule(["*"], "deny", 999)


def _any_case(name: str) -> str:
    """Return a pattern for a file's name in any case: some disks know no difference."""
    return "".join(
        f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else f"\\{letter}"
        for letter in name
    )


# The client decodes `%2E`, drops NUL characters and a leading `@`, and completes the name of a
# file that it doesn't find; so what could be read in two ways is refused as a whole. Its check of
# patterns takes no group with a repetition inside.
# The client drops a rule whose pattern has more than 2,048 characters: so many names stand in one.
_AT_ONCE = 20
_VALUE = r'\x00"file_path":'
_NAMES = tuple(_any_case(name) for name in (*FOLDERS, *FILES))
_REFUSED = (
    *(
        (
            rf'{_VALUE}[^\x00]*["/]\s*({"|".join(_NAMES[at : at + _AT_ONCE])})[\s.]*["/]',
            "SCOPE: what steers the next run in this folder is off limits",
        )
        for at in range(0, len(_NAMES), _AT_ONCE)
    ),
    (rf'{_VALUE}("@|[^\x00]*[\\%])', "SCOPE: no path with a leading @, a %, or a backslash"),
    (
        rf'{_VALUE}"(?!/|\./)[^\x00]*[Ss]ettings[.local]*\.json"',
        "SCOPE: write ./ before the name of a settings file, or its whole path",
    ),
)


def _rule(
    tools: Iterable[str],
    decision: str,
    priority: int,
    *,
    server: str | None = None,
    prefixes: Iterable[str] = (),
    pattern: str | None = None,
    message: str | None = None,
) -> str:
    lines = ["[[rule]]"]
    if server is not None:
        lines.append(f"mcpName = {_string(server)}")
    named = [_string(tool) for tool in tools]
    lines.append(f"toolName = {named[0] if len(named) == 1 else '[' + ', '.join(named) + ']'}")
    if granted := [_string(prefix) for prefix in prefixes]:
        lines.append(f"commandPrefix = [{', '.join(granted)}]")
    if pattern is not None:
        lines.append(f"argsPattern = '''{pattern}'''")
    lines += [f"decision = {_string(decision)}", f"priority = {priority}"]
    if message is not None:
        lines.append(f"denyMessage = {_string(message)}")
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
