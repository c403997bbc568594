"""Claude Code: installed, logged in, trusted here, its server connected, nothing of ours denied."""

from __future__ import annotations

import json
import os

from hypervisor.agents.claude import upgrade
from hypervisor.agents.doctor import client
from hypervisor.agents.finding import Finding, editing, note, ok, wrong
from hypervisor.agents.mcp import SERVER
from hypervisor.system import libraries
from hypervisor.system.processes import Late, ask
from hypervisor.system.reading import at
from hypervisor.system.text import one_line, shell

ABOUT = "claude"
CLIENT = client.Client(
    ABOUT, "claude", (2, 1, 197), (2, 1, 332), "npm install -g @anthropic-ai/claude-code"
)
REGISTER = "claude mcp add --scope user task_manager -- hypervisor serve"
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN",
         "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX")  # fmt: skip
_MANAGED = ("/etc/claude-code/managed-settings.json",
            "/Library/Application Support/ClaudeCode/managed-settings.json")  # fmt: skip
# Rules that take from a batch what it can't do without.
_NEEDED = ("Bash", "Bash(*)", "Bash(hypervisor:*)", "Agent", "Task")


def look(root: str, seconds: float) -> list[Finding]:
    """Return what there is to say of the client for the project at `root`."""
    path, installed = client.version(CLIENT, seconds)
    if path is None:
        return [installed]
    trust = _trusted(root)
    where = root if trust.state == "ok" else None
    plugin, market = _plugin(path, seconds)
    mend = f"claude plugin install {upgrade.PLUGIN}@{shell(market)}" if market else REGISTER
    # Most have no use for it: workers call the program, and each session pays for a server's tools.
    absent = note(ABOUT, "mcp", f"no server {SERVER}: a plugin of its own brings it", mend)
    _, mcp = client.servers(CLIENT, path, where, seconds, {}, absent)
    found = [installed, _login(path, seconds), trust, mcp, plugin]
    return [*found, _policy(root)]


def _folder() -> str:
    return os.environ.get("CLAUDE_CONFIG_DIR") or os.path.expanduser("~/.claude")


def _login(path: str, seconds: float) -> Finding:
    """The client says itself whether it is logged in; it looks at files for that."""
    mend = "claude auth login"
    try:
        said = ask([path, "auth", "status"], seconds, cwd="/")
    except Late:
        return client.late(CLIENT, "login", ["claude", "auth", "status"], seconds)
    except OSError as error:
        return wrong(ABOUT, "login", "not looked at", mend, error)
    try:
        status = json.loads(said.out)
    except ValueError:
        status = None
    logged_in = at(status, "loggedIn")
    if logged_in is True:
        how = one_line(str(at(status, "authMethod")), 40)
        return ok(ABOUT, "login", f"{how} (not tried)")
    if logged_in is False:
        return wrong(ABOUT, "login", "not logged in", mend)
    for name in _KEYS:
        if os.environ.get(name):
            return ok(ABOUT, "login", f"{name} is set (not tried)")
    if os.path.exists(os.path.join(_folder(), ".credentials.json")):
        return ok(ABOUT, "login", ".credentials.json is there (not tried)")
    return wrong(ABOUT, "login", "no login found", mend)


def _trusted(root: str) -> Finding:
    own = os.environ.get("CLAUDE_CONFIG_DIR")
    path = os.path.join(own, ".claude.json") if own else os.path.expanduser("~/.claude.json")
    try:
        projects = at(client.read_object(path), "projects")
    except (OSError, ValueError):
        projects = None
    for place in client.with_parents(root):
        if at(projects, place, "hasTrustDialogAccepted") is True:
            return ok(ABOUT, "trust", place)
    text = f"{root} is not trusted: the client asks at its start (headless workers need no trust)"
    return wrong(ABOUT, "trust", text, f"cd {shell(root)} && claude")


def _plugin(path: str, seconds: float) -> tuple[Finding, str]:
    """Return the finding, and the marketplace that the plugin is from; "" where it isn't known."""
    own = libraries.origin()
    mend = f"claude plugin marketplace add {shell(own)} && " if own else ""
    mend += "claude plugin install hypervisor@hypervisor"
    try:
        said = ask([path, "plugin", "list", "--json"], seconds, cwd="/")
        listed = json.loads(said.out)
    except Late:
        return client.late(CLIENT, "plugin", ["claude", "plugin", "list"], seconds), ""
    except (OSError, ValueError):
        mend = "claude plugin list"
        return note(ABOUT, "plugin", "the client does not list its plugins", mend), ""
    for plugin in listed if isinstance(listed, list) else ():
        name = str(at(plugin, "id") or at(plugin, "name") or "")
        own_name, _, market = name.partition("@")
        if own_name != "hypervisor":
            continue
        version = one_line(str(at(plugin, "version")), 20)
        if at(plugin, "enabled") is False:
            mend = f"claude plugin enable {shell(name)}"
            return wrong(ABOUT, "plugin", f"{version}, disabled", mend), market
        return ok(ABOUT, "plugin", f"{version}, enabled"), market
    # `--plugin-dir` needs no installation, and the client's list does not tell of it.
    text = "not installed; a session may load it by --plugin-dir"
    if not own:
        text += "; first, with its folder or address: claude plugin marketplace add"
    return note(ABOUT, "plugin", text, mend), ""


def _policy(root: str) -> Finding:
    """Settings that deny what a batch needs, or switch off its hooks."""
    paths = [os.path.join(_folder(), "settings.json")]
    paths += [os.path.join(root, ".claude", name) for name in _PROJECT]
    for path in (*_MANAGED, *paths):
        try:
            settings = client.read_object(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            return wrong(ABOUT, "policy", f"{path} can't be read", editing(path), error)
        denied = _denied(settings)
        if denied is not None:
            return wrong(ABOUT, "policy", f"{path} denies {denied}", editing(path))
        for key in ("disableAllHooks", "allowManagedHooksOnly"):
            if settings.get(key) is True:
                text = f"{path} has {key}: sessions are told nothing, tokens are not counted"
                return note(ABOUT, "policy", text, editing(path))
    return ok(ABOUT, "policy", "no settings deny what a batch needs")


_PROJECT = ("settings.json", "settings.local.json")


def _denied(settings: dict[str, object]) -> str | None:
    rules = at(settings, "permissions", "deny")
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, str) and (rule in _NEEDED or rule.startswith("Bash(hypervisor")):
            return one_line(rule, 60)
    return None
