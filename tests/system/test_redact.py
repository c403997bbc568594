"""Keys are taken out of text, and nothing else is."""

from __future__ import annotations

import base64
import random
import string
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.system import signs
from hypervisor.system.redact import MARK, Redactor
from repository import REPO
from worker.support import open_queue, write_task

REPOSITORY = REPO
LETTERS = string.ascii_letters + string.digits
HEX, UPPER = "0123456789abcdef", string.digits + string.ascii_uppercase
_chance = random.Random(11)


def some(count: int, of: str = LETTERS) -> str:
    """Return characters as a key has them; no key of anybody's is written in this file."""
    return "a1" + "".join(_chance.choice(of) for _ in range(count - 2))


def pem(kind: str, lines: int = 6) -> str:
    dashes = "-" * 5
    body = "\n".join(some(64) for _ in range(lines))
    return f"{dashes}BEGIN {kind}PRIVATE KEY{dashes}\n{body}\n{dashes}END {kind}PRIVATE KEY{dashes}"


def jwt() -> str:
    head, claims = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (
        b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"x"}'))  # fmt: skip
    return f"{head}.{claims}.{some(43)}"


# What has a shape of its own, wherever it stands.
SHAPED = {
    "anthropic": "sk-" + "ant-api03-" + some(90),
    "anthropic login": "sk-" + "ant-oat01-" + some(80),
    "openai": "sk-" + some(48),
    "openai project": "sk-" + "proj-" + some(60),
    "openrouter": "sk-" + "or-v1-" + some(64, HEX),
    "google": "AI" + "za" + some(35),
    "google login": "ya" + "29." + some(60),
    "google secret": "GOC" + "SPX-" + some(28),
    "hugging face": "h" + "f_" + some(34),
    "replicate": "r" + "8_" + some(37),
    "groq": "g" + "sk_" + some(52),
    "xai": "x" + "ai-" + some(80),
    "perplexity": "pp" + "lx-" + some(48),
    "nvidia": "nv" + "api-" + some(64),
    "github": "gh" + "p_" + some(36),
    "github app": "gh" + "s_" + some(36),
    "github fine": "github" + "_pat_" + some(82),
    "gitlab": "gl" + "pat-" + some(20),
    "gitlab runner": "gl" + "rt-" + some(20),
    "atlassian": "ATA" + "TT3x" + some(60),
    "npm": "np" + "m_" + some(36),
    "pypi": "py" + "pi-AgEI" + some(100),
    "docker": "dckr" + "_pat_" + some(27),
    "rubygems": "ruby" + "gems_" + some(48, HEX),
    "crates": "ci" + "o" + some(32),
    "aws": "AK" + "IA" + some(16, UPPER).upper(),
    "aws session": "AS" + "IA" + some(16, UPPER).upper(),
    "digitalocean": "do" + "p_v1_" + some(64, HEX),
    "vault": "hv" + "s." + some(90),
    "databricks": "da" + "pi" + some(32, HEX),
    "azure secret": "abc8" + "Q~" + some(34),
    "terraform": some(14) + ".atlas" + "v1." + some(67),
    "tailscale": "ts" + "key-auth-" + some(30),
    "supabase": "sb" + "p_" + some(40, HEX),
    "grafana": "gl" + "sa_" + some(41),
    "payment": "sk" + "_live_" + some(24),
    "payment test": "rk" + "_test_" + some(24),
    "payment hook": "wh" + "sec_" + some(32),
    "square": "sq" + "0atp-" + some(22),
    "shopify": "sh" + "pat_" + some(32, HEX),
    "mail": "S" + "G." + some(22) + "." + some(43),
    "mailgun": "ke" + "y-" + some(32, HEX),
    "mailchimp": some(32, HEX) + "-u" + "s12",
    "twilio": "S" + "K" + some(32, HEX),
    "slack": "xo" + "xb-" + some(40),
    "slack app": "xa" + "pp-1-" + some(40),
    "telegram": "123456789:" + "AA" + some(33),
    "linear": "lin" + "_api_" + some(40),
    "notion": "nt" + "n_" + some(46),
    "signed token": jwt(),
    "rsa key": pem("RSA "),
    "key": pem(""),
    "ec key": pem("EC "),
    "ssh key": pem("OPENSSH ", 20),
    "encrypted key": pem("ENCRYPTED "),
    "pgp key": pem("PGP ").replace("KEY-", "KEY BLOCK-"),
    "key of json": pem("").replace("\n", "\\n") + "\\n",
    "key of nested json": pem("").replace("\n", "\\\\n"),
    "key quoted": pem("RSA ").replace("\n", "\n> "),
    "key of windows": pem("RSA ").replace("\n", "\r\n"),
    "key on one line": pem("").replace("\n", " "),
}
PASSWORD, TOKEN = "hunter2!" + some(4), some(32)
# What is one by the place where it stands: (the text, the secret in it).
PLACED = [
    (f"Authorization: Bearer {TOKEN}", TOKEN),
    (f"authorization: bearer {TOKEN}", TOKEN),
    (f'curl -H "Authorization: token {TOKEN}" x', TOKEN),
    (f"-H 'Proxy-Authorization: Basic {TOKEN}'", TOKEN),
    (f'{{"Authorization": "Bearer {TOKEN}"}}', TOKEN),
    (f'{{\\"authorization\\": \\"Bearer {TOKEN}\\"}}', TOKEN),
    (f"it said Bearer {TOKEN} there", TOKEN),
    ("Basic " + (login := base64.b64encode(b"me:hunter2pass").decode()) + ",", login),
    (f"X-Api-Key: {TOKEN}", TOKEN),
    (f"postgresql://me:{PASSWORD}@host/db", PASSWORD),
    (f"redis://:{PASSWORD}@host:1", PASSWORD),
    (f"https://{TOKEN}@git.example.org/x.git", TOKEN),
    (f"https://me:{TOKEN}@git.example.org/x.git", TOKEN),
    (f"https://x.example/y?a=1&access_token={TOKEN}&b=2", TOKEN),
    (f"https://x.example/y?sig={TOKEN}%2B%3D&se=1", TOKEN),
    (f"https://x.example/y?X-Amz-Signature={TOKEN}", TOKEN),
    (f"https://hooks.slack.com/services/T0/B0/{TOKEN}", TOKEN),
    (f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={TOKEN}==;E=1", TOKEN),
    (f"PASSWORD={PASSWORD}", PASSWORD),
    ("DB_PASSWORD=letmein", "letmein"),
    (f"export GITHUB_TOKEN={TOKEN}", TOKEN),
    (f'export MY_SECRET="{PASSWORD} two words"', PASSWORD),
    (f"  - NPM_TOKEN={TOKEN}", TOKEN),
    (f"docker run -e API_KEY={TOKEN} x", TOKEN),
    (f"AWS_SECRET_ACCESS_KEY={TOKEN}/+x", TOKEN),
    (f"aws_secret_access_key = {TOKEN}/+x", TOKEN),
    (f"STRIPE_KEY={TOKEN}", TOKEN),
    (f"PGPASSWORD={PASSWORD} psql", PASSWORD),
    (f'{{"password": "{PASSWORD}"}}', PASSWORD),
    ('{"password": "correcthorse"}', "correcthorse"),
    (f'{{\\"password\\": \\"{PASSWORD}\\"}}', PASSWORD),
    (f'"client_secret":"{TOKEN}"', TOKEN),
    (f"'api_key' => '{TOKEN}'", TOKEN),
    (f"password: {PASSWORD}", PASSWORD),
    (f"  db_password: '{PASSWORD}'", PASSWORD),
    (f"token: {TOKEN}", TOKEN),
    (f"apiKey: {TOKEN},", TOKEN),
    (f"//registry.example/:_authToken={TOKEN}", TOKEN),
    (f"_auth={TOKEN}", TOKEN),
    (f"password = {PASSWORD}", PASSWORD),
    ("password=letmein\n", "letmein"),
    (f"login --password {PASSWORD} --user me", PASSWORD),
    (f"login --token={TOKEN}", TOKEN),
    (f"host=x user=me password={PASSWORD} dbname=y", PASSWORD),
]
AROUND = ["{}", "it is {}, they say", "key={}", '"{}"', "({})", "a\n{}\nb", "`{}`.", "/{}/", "={}&"]
ORDINARY = [
    "docs/risk-assessment-document-template.md", "task-implementation-of-the-new-parser",
    "sk-learn-tutorial-for-beginners-and-others", "desk-organisation-with-many-words-in-it",
    "ask-the-maintainers-whether-this-is-wanted", "disk-usage-of-the-embedded-store-2026",
    "src/tasks/mask-rendering-in-two-passes.ts", "see https://example.org/a@b, mail me@example.org",
    "https://example.org:8080/path@2x.png?key=name&sort=up", "the bearer of this letter is known",
    "Basic understanding of Markdown", "Basic authentication is off", "bearer tokens are refused",
    "password: required", "Password: the user's own", '"password": "string"', "password=None",
    "password = getpass()", "token = claim.token", 'token = row["token"]', "TOKEN=$(pass show x)",
    'export TOKEN="$GITHUB_TOKEN"', "token: ${{ secrets.GITHUB_TOKEN }}", "tokens: 12345678",
    "MAX_TOKENS=200000", "max_tokens: 4096", "HYPERVISOR_TOKEN=17-x7q2", '"token": "17-x7q2"',
    "claim 17-x7q2 by a-host-name-4711", "key: value", "primary_key=id", "KEY=name",
    "the secret of good tests is patience", "secret: no", "--password-file /run/secrets/x",
    "password_hash", "getSecretValue(name)", "commit 3f2a9c0d4b5e6f708192a3b4c5d6e7f801234567",
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "0.1.0-562c087910c1",
    "d41d8cd98f00b204e9800998ecf8427e", "550e8400-e29b-41d4-a716-446655440000",
    "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "----- a line -----",
    "npm_config_registry", "hf_hub_download", "pypi-publish-the-new-version-of-it",
    "AKIA is a prefix",
    "eyJ is how they begin", "xoxo-lots-of-love", "SG.1 and SG.2", "whsec_ is one of stripe's",
]  # fmt: skip


def _words() -> list[str]:
    """Return made slugs, ids and paths, some with what begins a key in them."""
    chance = random.Random(7)
    heads = ["ta", "ri", "de", "di", "ma", "a", "bri", "whi", "", "docs/", "src/x/", "t-", "BACK-"]
    roots = [
        "sk-",
        "sk_live",
        "ghp",
        "key-",
        "hf_",
        "npm_",
        "token",
        "secret",
        "password",
        "gl",
        "pypi-",
        "auth",
        "api-key",
        "task-",
        "risk-",
        "AKIA",
        "rk-test",
        "xox",
        "bearer",
    ]
    words = [
        "implementation",
        "assessment",
        "document",
        "template",
        "parser",
        "review",
        "follow",
        "up",
        "of",
        "the",
        "new",
        "old",
        "release",
        "notes",
        "12",
        "2026",
        "v2",
        "final",
    ]
    made = []
    for _ in range(4000):
        tail = "-".join(chance.choice(words) for _ in range(chance.randrange(1, 8)))
        made.append(chance.choice(heads) + chance.choice(roots) + chance.choice(["", "-"]) + tail)
    return made


def _pages() -> list[str]:
    """Return the lines of this repository's own pages and sources."""
    places = [*REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("src/**/*.py"),
              *REPOSITORY.glob("skills/**/*.md"), *REPOSITORY.glob("*.md")]  # fmt: skip
    found = [line for path in places for line in path.read_text("utf-8").splitlines()]
    assert len(found) > 20_000
    return found


def test_the_rate_of_keys_that_are_taken_out_is_all(record_property: Callable[..., None]) -> None:
    clean = Redactor({})
    cases = [(around.format(key), key) for key in SHAPED.values() for around in AROUND]
    cases += [(around.format(text), key) for text, key in PLACED for around in ("{}", "a\n{}\nb")]
    kept = [text for text, key in cases if _is_left(key, clean.text(text))]
    rate = 1 - len(kept) / len(cases)
    print(f"keys taken out: {rate:.2%} of {len(cases)}")
    record_property("keys taken out", rate)
    assert not kept


def _is_left(key: str, text: str) -> bool:
    """True if a piece of a key that could be used is in a text: a line of it, of 12 characters."""
    pieces = [piece for piece in key.replace("\\n", "\n").split() if len(piece) > 7]
    pieces = [piece for piece in pieces if "-----" not in piece and "PRIVATE" not in piece]
    return any(piece.strip("\\") in text for piece in pieces) or MARK not in text


def test_the_rate_of_ordinary_text_that_is_changed_is_none(
    record_property: Callable[..., None],
) -> None:
    clean = Redactor({})
    cases = [*ORDINARY, *_words(), *_pages()]
    # These pages show such an address on purpose.
    cases = [line for line in cases if "SECRET@" not in line]
    changed = [(line, clean.text(line)) for line in cases if clean.text(line) != line]
    rate = len(changed) / len(cases)
    print(f"ordinary text changed: {rate:.4%} of {len(cases)}")
    record_property("ordinary text changed", rate)
    assert not changed
    whole = "\n".join(cases)
    assert clean.text(whole) == whole


@pytest.mark.parametrize("kind", ["RSA ", "", "OPENSSH ", "EC "])
@pytest.mark.parametrize("before", ["", "  ", "> ", "+"])
def test_a_private_key_is_taken_out_of_a_log_that_comes_line_by_line(
    kind: str, before: str
) -> None:
    key = pem(kind, 20)
    said = ["before", *(before + line for line in key.splitlines()), "after", "x" * 40]
    clean = Redactor({}).lines()
    out = b"".join(clean(line.encode() + b"\n") for line in said).decode()
    assert not [line for line in key.splitlines()[1:-1] if line in out]
    assert out.startswith("before\n") and out.endswith(f"after\n{'x' * 40}\n")
    assert out.count("\n") == len(said)


def test_many_lines_at_once_are_cleaned_as_one_by_one() -> None:
    lines = [b"plain words" for _ in range(50)]
    for place in (0, 7, 30):
        lines[place:place] = [line.encode() for line in pem("RSA ").split("\n")]
    lines[20:20] = [f"export API_TOKEN={some(24)}".encode(), b"api", b"_token", b"\xff odd"]
    line_by_line = list(map(Redactor({}).lines(), lines))
    assert line_by_line != lines
    for size in (1, 2, 5, 9, len(lines)):
        clean = Redactor({}).chunks()
        told = [one for at in range(0, len(lines), size) for one in clean(lines[at : at + size])]
        assert told == line_by_line


def test_a_key_that_never_ends_hides_nothing_but_what_looks_like_one() -> None:
    clean = Redactor({}).lines()
    begin = pem("RSA ").splitlines()[0]
    out = [clean(line.encode()) for line in [begin, some(64), "an error: it broke", some(64)]]
    assert out[0] == out[1] == MARK.encode() and out[2] == b"an error: it broke"
    assert MARK.encode() != out[3]
    other = Redactor({}).lines()
    assert other(some(64).encode()) != MARK.encode()


def test_the_end_of_a_key_whose_beginning_was_cut_off_is_taken_out() -> None:
    key = pem("RSA ").splitlines()
    assert Redactor({}).text("\n".join(key[3:]) + "\nafter") == f"{MARK}\nafter"
    assert key[3] not in Redactor({}).text("\n".join(key[:4]))


def test_values_of_keys_in_the_environment_are_taken_out() -> None:
    clean = Redactor({"MY_API_KEY": "quite-secret", "A_TOKEN": "quite-secret-2", "KEY": "short",
                      "EDITOR": "vimacs1", "SSH_AUTH_SOCK": "/tmp/agent.sock", "GIT_AUTHOR_NAME":
                      "Ada Lovelace", "KEYBOARD": "querty-de", "MAX_TOKENS": "20000000",
                      "MY_PASSWORD": "password", "SIGNING_KEY": f"a\n{'b' * 20}\n"})  # fmt: skip
    text = (
        "quite-secret-2 quite-secret vimacs1 /tmp/agent.sock short Ada Lovelace querty-de 20000000"
    )
    assert clean.text(text) == (
        f"{MARK} {MARK} vimacs1 /tmp/agent.sock short Ada Lovelace querty-de 20000000"
    )
    assert clean.lines()(b"\xff quite-secret\n") == b"\xff [redacted]\n"
    assert clean.text("passwords: a password") == f"passwords: a {MARK}"
    assert clean.text("b" * 20) == MARK


def test_passwords_in_addresses_are_taken_out_and_the_rest_of_them_stays() -> None:
    clean = Redactor({})
    assert clean.text("postgresql://me:pw@host/db") == "postgresql://[redacted]@host/db"
    assert clean.text("https://h/x?token=abcdefgh1&b=2") == "https://h/x?token=[redacted]&b=2"


def test_what_is_redacted_stays_as_it_is() -> None:
    clean = Redactor({})
    for text, _ in PLACED:
        assert clean.text(clean.text(text)) == clean.text(text)


def test_long_lines_take_no_longer_than_they_are_long() -> None:
    clean = Redactor({})
    for piece in (
        "a",
        "password",
        "sk-",
        "key-",
        "-----BEGIN ",
        "eyJ",
        "a.",
        "://",
        "x=",
        "\\n",
        "Bearer ",
    ):
        text = piece * (200_000 // len(piece))
        begun = time.process_time()
        clean.text(text)
        assert time.process_time() - begun < 5, piece


def test_a_key_in_a_worker_s_report_reaches_neither_ledger_nor_file(
    project: Path, run_hypervisor: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    task = write_task(project, "t-1")
    open_queue(project)
    token = run_hypervisor("next", "q").stdout.split()[1]
    env = {"MY_TOKEN": "very-secret-words"}
    key = "AIza" + "b" * 35
    told = ("--summary", f"used {key} and very-secret-words", "--file", f"out/{key}")
    assert run_hypervisor("done", token, *told, env=env).returncode == 0
    assert "> used [redacted] and [redacted]" in task.read_text()
    summary = run_hypervisor("summary", "q", "--json").stdout
    assert "out/[redacted]" in summary
    kept = [path.read_bytes() for path in project.rglob("*") if path.is_file()]
    assert not [raw for raw in kept if key.encode() in raw or b"very-secret" in raw]


def test_what_follows_a_header_in_a_sentence_stays() -> None:
    told = "sent Authorization: Bearer abcdef0123456789abcdef and read docs/risk-assessment-2024.md"
    assert Redactor({}).text(told) == (
        f"sent Authorization: Bearer {MARK} and read docs/risk-assessment-2024.md"
    )


@pytest.mark.parametrize(
    ("name", "is_key"),
    [
        ("ANTHROPIC_API_KEY", True), ("api_keys_old", True), ("KEYBOARD", False),
        ("GITHUB_TOKEN", True), ("TOKENIZERS_PARALLELISM", False), ("MY_PAT", True),
        ("PATH", False), ("PWD", False), ("DB_PWD", True), ("PGPASSWORD", True),
        ("SSH_AUTH_SOCK", True), ("AUTHOR", False), ("AUTHORIZATION", True), ("CREDENTIALS", True),
        ("HOME", False),
    ],
)  # fmt: skip
def test_a_variable_is_known_by_its_name_as_one_that_holds_a_key(name: str, is_key: bool) -> None:
    assert signs.names_a_key(name) is is_key
