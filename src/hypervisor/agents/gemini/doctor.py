"""Gemini CLI: installed, logged in, trusted here, its server connected, its policies accepted."""

from __future__ import annotations

import os
import re
import tempfile

from hypervisor import __version__
from hypervisor.agents.doctor import client
from hypervisor.agents.finding import Finding, editing, note, ok, wrong
from hypervisor.agents.gemini.client import INSTALL
from hypervisor.agents.mcp import SERVER
from hypervisor.system import libraries
from hypervisor.system.processes import Late, Said, ask
from hypervisor.system.reading import at
from hypervisor.system.text import one_line, shell

ABOUT = "gemini"
# For a question the client needs no second start with a larger heap.
_ONCE = {"GEMINI_CLI_NO_RELAUNCH": "true"}
CLIENT = client.Client(ABOUT, "gemini", (0, 61, 0), (0, 61, 0), INSTALL, _ONCE)
REGISTER = "gemini mcp add --scope user --timeout 600000 task_manager hypervisor serve"
_ABSENT = wrong(ABOUT, "mcp", f"no server {SERVER}", REGISTER)
_TRUST = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
_REFUSED = re.compile(r"^.*(?:Policy file error|Error loading policies).*$", re.MULTILINE)
# How each way to log in is seen without using it: a variable, or a file in the client's folder.
_LOGINS = {
    "gemini-api-key": (("GEMINI_API_KEY",), ()),
    "oauth-personal": ((), ("oauth_creds.json",)),
    "vertex-ai": (("GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT"), ()),
    "compute-default-credentials": (("GOOGLE_APPLICATION_CREDENTIALS",), ()),
    "cloud-shell": (("CLOUD_SHELL",), ()),
}


def look(root: str, seconds: float) -> list[Finding]:
    """Return what there is to say of the client for the project at `root`."""
    path, installed = client.version(CLIENT, seconds)
    if path is None:
        return [installed]
    folder = os.path.join(os.environ.get("GEMINI_CLI_HOME") or os.path.expanduser("~"), ".gemini")
    settings, broken = _settings(os.path.join(folder, "settings.json"))
    trust = _trusted(folder, settings, root)
    is_trusted = trust.state == "ok"
    # Outside of the folder nothing of it is started, so that the client may be told to trust.
    where, env = (root, {}) if is_trusted else (None, _TRUST)
    said, mcp = client.servers(CLIENT, path, where, seconds, env, _ABSENT)
    found = [installed, broken or _login(folder, settings), trust, mcp]
    return [*found, _extension(folder), _policy(path, said, seconds)]


def _settings(path: str) -> tuple[dict[str, object], Finding | None]:
    try:
        return client.read_object(path), None
    except FileNotFoundError:
        return {}, None
    except (OSError, ValueError) as error:
        text = f"{path} can't be read"
        return {}, wrong(ABOUT, "login", text, editing(path), error)


def _login(folder: str, settings: dict[str, object]) -> Finding:
    chosen = at(settings, "security", "auth", "selectedType")
    if not chosen:
        text = "no way to log in is chosen"
        if os.environ.get("GEMINI_API_KEY"):
            text = "GEMINI_API_KEY is set, but not chosen as the way to log in"
        return wrong(ABOUT, "login", f"{text}: /auth in a session chooses one", "gemini")
    variables, names = _LOGINS.get(str(chosen), ((), ()))
    told = one_line(str(chosen), 40)
    for name in variables:
        if os.environ.get(name):
            return ok(ABOUT, "login", f"{told}, {name} is set")
    for name in names:
        if os.path.exists(os.path.join(folder, name)):
            return ok(ABOUT, "login", f"{told}, {name} is there (not tried)")
    if any(_in_env_file(folder, name) for name in variables):
        return ok(ABOUT, "login", f"{told}, its key is in the client's .env (not tried)")
    if variables and os.path.exists(os.path.join(folder, "gemini-credentials.json")):
        # The client may keep a key there, encrypted; it makes the file for other ends as well.
        text = f"{told}: {variables[0]} is not set, and the client's own store can't be looked into"
        return note(ABOUT, "login", f"{text}; /auth in a session shows it", "gemini")
    if chosen not in _LOGINS:
        return note(ABOUT, "login", f"{told}: not known here, so not looked at")
    needed = " or ".join((*variables, *names))
    text = f"{told} is chosen, but {needed} is missing: /auth in a session asks for it"
    return wrong(ABOUT, "login", text, "gemini")


def _in_env_file(folder: str, name: str) -> bool:
    try:
        with open(os.path.join(folder, ".env"), encoding="utf-8", errors="replace") as source:
            return any(re.match(rf"\s*(?:export\s+)?{name}\s*=\s*\S", line) for line in source)
    except OSError:
        return False


def _trusted(folder: str, settings: dict[str, object], root: str) -> Finding:
    if at(settings, "security", "folderTrust", "enabled") is False:
        return ok(ABOUT, "trust", "every folder: folderTrust is off in the client's settings")
    try:
        rules = client.read_object(os.path.join(folder, "trustedFolders.json"))
    except (OSError, ValueError):
        rules = {}
    # The nearest rule decides.
    for place in client.with_parents(root):
        rule = rules.get(place)
        parents = [r for p, r in rules.items() if os.path.dirname(p) == place]
        if rule == "DO_NOT_TRUST":
            text = f"{place} is marked as not trusted: /permissions in a session changes that"
            return wrong(ABOUT, "trust", text, f"cd {shell(root)} && gemini")
        if rule == "TRUST_FOLDER" or "TRUST_PARENT" in parents:
            return ok(ABOUT, "trust", place)
    text = (
        f"{root} is not trusted: sessions in it have no servers, and the client asks at its start"
    )
    text += " (headless workers need no trust)"
    return wrong(ABOUT, "trust", text, f"cd {shell(root)} && gemini")


def _extension(folder: str) -> Finding:
    """The extension as the client has it: a copy, or a link to where it was linked from."""
    # Of an address the client would take the whole, and the extension is a part.
    own = libraries.origin()
    is_folder = own != "" and os.path.isdir(own)
    install = f"gemini extensions install {shell(f'{own}/gemini')}" if is_folder else ""
    place = os.path.join(folder, "extensions", "hypervisor")
    try:
        noted = client.read_object(os.path.join(place, ".gemini-extension-install.json"))
        if noted.get("type") == "link":
            place = str(noted.get("source"))
        version = client.read_object(os.path.join(place, "gemini-extension.json")).get("version")
    except FileNotFoundError:
        text = "not installed: no commands and no news in sessions"
        if not install:
            text += "; from a clone of hypervisor: gemini extensions install CLONE/gemini"
        return note(ABOUT, "extension", text, install)
    except (OSError, ValueError) as error:
        mend = f"gemini extensions uninstall hypervisor && {install}".rstrip("& ")
        return wrong(ABOUT, "extension", "can't be read", mend, error)
    if version != __version__:
        text = f"{one_line(version, 20)}, but the program is {__version__}"
        return wrong(ABOUT, "extension", text, "gemini extensions update hypervisor")
    return ok(ABOUT, "extension", str(version))


def _policy(path: str, said: Said | None, seconds: float) -> Finding:
    """The user's and the extensions' policies as the client reads them, and that of our workers."""
    from hypervisor.agents.gemini.policy import policy

    refused = _REFUSED.search(said.all) if said is not None else None
    if refused is not None:
        words = refused[0].strip()
        return wrong(ABOUT, "policy", "the client refuses one", "gemini mcp list", words)
    try:
        with tempfile.TemporaryDirectory(prefix="hypervisor-") as home:
            folder = os.path.join(home, ".gemini", "policies")
            os.makedirs(folder)
            with open(os.path.join(folder, "worker.toml"), "w", encoding="utf-8") as out:
                out.write(policy())
            # A home without servers: nothing but the policy is read.
            env = {**_ONCE, **_TRUST, "GEMINI_CLI_HOME": home}
            answer = ask([path, "mcp", "list"], seconds, cwd=home, env=env)
    except Late:
        return client.late(CLIENT, "policy", ["gemini", "mcp", "list"], seconds)
    except OSError as error:
        return wrong(ABOUT, "policy", "not looked at", "gemini mcp list", error)
    refused = _REFUSED.search(answer.all)
    if refused is not None:
        text, words = "that of our workers is refused", refused[0].strip()
        return wrong(ABOUT, "policy", text, f"{CLIENT.install}@0.61.0", words)
    return ok(ABOUT, "policy", "that of our workers is accepted")
