"""The configuration of a worker: a permission profile that fails closed, the queue's server, and
nothing of the user's or the project's own configuration.

The client's sandbox is what holds a worker. It can't run a command in any other way: without the
sandbox every one fails.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from hypervisor.agents.codex import login
from hypervisor.agents.mcp import SERVER, TOOLS
from hypervisor.system import protected
from hypervisor.system.processes import Late, ask
from hypervisor.system.spans import span
from hypervisor.system.text import one_line
from hypervisor.worker.snapshot import snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "worker"
# What the client has beside its tools, and what would bring in the configuration of others.
_OFF = (
    "apps", "browser_use", "computer_use", "goals", "hooks", "image_generation", "memories",
    "plugins", "shell_snapshot", "tool_suggest",
    # Without a network a run would wait for one for ever.
    "unbounded_connection_retries",
)  # fmt: skip
# The tools that no model's own entry in the catalog brings, and what the client tells of the place.
_TOOLS = ("shell_tool", "skill_search", "sleep_tool", "unified_exec", "view_image")
_ASKING = ("experimental_request_user_input", "update_plan")
_UNTOLD = tuple(
    f"include_{what} = false"
    for what in ("apps_instructions", "collaboration_mode_instructions", "environment_context",
                 "permissions_instructions")
)  # fmt: skip
# What a command is handed of the environment; keys are for the client alone.
_HANDED = (
    "PATH", "HOME", "LANG", "LANGUAGE", "LC_*", "TERM", "TZ", "TMPDIR", "USER", "LOGNAME",
    "HYPERVISOR_AGENT", "HYPERVISOR_ITEMS", "HYPERVISOR_POOL", "HYPERVISOR_QUEUE",
    "HYPERVISOR_WORKER",
)  # fmt: skip
# The client keeps these from workers by itself. While a command runs, it lays those that are
# missing into the folder, empty; and so it does with one more.
_KEPT = (".agents", ".codex", ".git")
LAID = (*_KEPT, ".aws")
# Below the user's home: what no worker reads.
_SECRETS = (
    ".aws", ".azure", ".config/gcloud", ".config/gh", ".config/hypervisor", ".docker", ".gnupg",
    ".git-credentials", ".kube", ".netrc", ".npmrc", ".pgpass", ".pypirc", ".ssh",
)  # fmt: skip
# Each is a mount of the sandbox, the nearest to the root first.
_MOST = 200
# A check runs while its item is completed.
_LONGEST_CALL = 7200


def config(root: str, folder: str, home: Path, server: str = "") -> str:
    """Return the configuration for a worker of the project at `root`, which works in `folder` and
    has its own `home` of the client; `server` is what is to stand in there of the queue's server.
    """
    return "\n".join((
        *_base(_OFF),
        *(f'[projects.{text(one)}]\ntrust_level = "untrusted"' for one in {root, folder}),
        f"[permissions.{NAME}]", 'extends = ":workspace"',
        f"[permissions.{NAME}.filesystem]",
        # Where the homes of the other workers may be.
        '":slash_tmp" = "read"',
        *(f'{text(path)} = "deny"' for path in _secrets(home)),
        f'[permissions.{NAME}.filesystem.":workspace_roots"]',
        '"." = "write"',
        *(f'{text(name)} = "read"' for name in steering(folder)),
        f"[permissions.{NAME}.network]", "enabled = false",
        "[shell_environment_policy]", 'inherit = "all"', f"include_only = {texts(_HANDED)}",
        server,
    ))  # fmt: skip


def judge(catalog: Path) -> str:
    """Return the configuration of a judge: no tools, nothing to read, and models as the file
    `catalog` tells of them."""
    return "\n".join((
        *_base((*_OFF, *_TOOLS), f"model_catalog_json = {text(str(catalog))}", *_UNTOLD),
        "[tools]", *(f"{name} = {{ enabled = false }}" for name in _ASKING),
        f"[permissions.{NAME}]", 'extends = ":read-only"',
        f"[permissions.{NAME}.filesystem]", '":root" = "deny"',
        f"[permissions.{NAME}.network]", "enabled = false",
    ))  # fmt: skip


def _base(off: Iterable[str], *keys: str) -> list[str]:
    """Return what holds for everybody, with more `keys` of the top level; these features are
    `off`."""
    return [
        'approval_policy = "never"',
        f"default_permissions = {text(NAME)}",
        # A login shell would set another PATH.
        "allow_login_shell = false",
        'web_search = "disabled"',
        "project_doc_max_bytes = 0",
        "check_for_update_on_startup = false",
        'cli_auth_credentials_store = "file"',
        *keys,
        *_provider(),
        "[analytics]", "enabled = false",
        "[feedback]", "enabled = false",
        "[agents]", "enabled = false",
        "[skills]", "include_instructions = false",
        "[skills.bundled]", "enabled = false",
        "[features]", *(f"{name} = false" for name in off),
    ]  # fmt: skip


def steering(folder: str) -> list[str]:
    """Return what steers the next run and stands in `folder`, from there. For a name that is
    missing the sandbox would put an empty file into the folder, for everybody to see."""
    paths = [path for path in snapshot(folder).files if protected.steers(path)]
    found = {name for name in protected.FOLDERS if os.path.isdir(os.path.join(folder, name))}
    found = found.union(map(_first, paths)) - set(_KEPT)
    by_depth = sorted(found, key=lambda path: (path.count("/"), path))
    # A link is followed by the sandbox, to what may be missing or elsewhere.
    real = [path for path in by_depth if not os.path.islink(os.path.join(folder, path))]
    return real[:_MOST]


def _first(path: str) -> str:
    """Return the shortest part of a path that steers, with all that is below it."""
    parts = path.split("/")
    heads = ("/".join(parts[: at + 1]) for at in range(len(parts)))
    return next((head for head in heads if protected.steers(head)), path)


def _secrets(home: Path) -> list[str]:
    users = os.path.expanduser("~")
    names = ("auth.json", "config.toml", "history.jsonl", "sessions")
    paths = [*(os.path.join(users, name) for name in _SECRETS)]
    paths += [str(login.user_folder() / name) for name in names]
    return [str(home), *(os.path.realpath(path) for path in paths if os.path.exists(path))]


def _provider() -> list[str]:
    # Without an address it is the client's own service, by the kind of login.
    address = os.environ.get(login.ADDRESS)
    where = [f"base_url = {text(address)}"] if address else []
    how = f"env_key = {text(login.KEYS[0])}" if login.key() else "requires_openai_auth = true"
    return [
        f"model_provider = {text(NAME)}",
        f"[model_providers.{NAME}]", f"name = {text(NAME)}",
        *where, 'wire_api = "responses"', how,
        # The pool waits better: it starts no further agent meanwhile.
        "request_max_retries = 3", "stream_max_retries = 1",
    ]  # fmt: skip


def server(
    program: str, queue: str, folder: str, here: bool, passed: Iterable[str], made: dict[str, str]
) -> str:
    """Return what stands in a configuration of the server that hands out the items of `queue`; see
    `client.server_environment` for the last two."""
    words = ["serve", "--queue", queue, *(["--here"] if here else [])]
    return "\n".join((
        f"[mcp_servers.{SERVER}]",
        f"command = {text(program)}", f"args = {texts(words)}", f"cwd = {text(folder)}",
        "required = true", "startup_timeout_sec = 120", f"tool_timeout_sec = {_LONGEST_CALL}",
        # Otherwise each call is refused, since nobody is there to be asked.
        'default_tools_approval_mode = "approve"', f"enabled_tools = {texts(TOOLS)}",
        f"env_vars = {texts(passed)}",
        f"[mcp_servers.{SERVER}.env]", *(f"{name} = {text(one)}" for name, one in made.items()),
    ))  # fmt: skip


def refused(program: str, seconds: float, root: str | None = None) -> str:
    """Try the profile at `root`, or in an empty folder: return "", or why no command can run."""
    try:
        with tempfile.TemporaryDirectory(prefix="hypervisor-") as made:
            home, empty = Path(made, "home"), Path(made, "project")
            home.mkdir()
            empty.mkdir()
            folder = root or str(empty)
            (home / "config.toml").write_text(config(folder, folder, home), encoding="utf-8")
            words = [program, "sandbox", "-P", NAME, "-C", folder, "--", "true"]
            said = ask(words, seconds, cwd=folder, env={"CODEX_HOME": str(home)})
    except Late:
        return f"no answer within {span(seconds)}"
    except OSError as error:
        return str(error.strerror or error)
    lines = [line for line in said.all.splitlines() if line.strip()]
    return one_line(lines[-1] if lines else f"exit code {said.code}", 300) if said.code else ""


def text(value: str) -> str:
    """Return a text as TOML."""
    return json.dumps(value)


def texts(values: Iterable[str]) -> str:
    """Return a list of texts as TOML."""
    return json.dumps(list(values))
