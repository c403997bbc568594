"""What `[notify.NAME]` of the user's own configuration may say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.config.notify import is_safe, receiver
from hypervisor.config.settings import load
from hypervisor.system.errors import UsageError

User = Callable[[str], Path]
KEY = "hunter2hunter2"


def test_an_entry_names_a_line_for_the_shell_words_an_address_or_the_desktop(user: User) -> None:
    user(
        '[notify.line]\ncommand = "cat >>news"\n[notify.words]\ncommand = ["tell", "me"]\n'
        '[notify.hook]\nwebhook = "https://chat.example/x"\ndetails = true\n'
        "[notify.desk]\ndesktop = true\n"
    )
    assert receiver("line").command == ("/bin/sh", "-c", "cat >>news")
    assert receiver("words").command == ("tell", "me")
    assert receiver("hook").webhook == "https://chat.example/x" and receiver("hook").details
    assert receiver("desk").desktop and not receiver("desk").details


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no [notify.me]"),
        ('[notify.other]\ncommand = "x"', "known there: other"),
        (f'[notify.me]\nwebhook = "http://chat.example/{KEY}"', "https://"),
        (f'[notify.me]\nwebhook = "https://me:{KEY}@chat.example/"', "without a login"),
        (f'[notify.me]\nwebhok = "https://chat.example/{KEY}"', "unknown key webhok"),
        (f'[notify.me]\nwebhook = "https://a.example/{KEY}"\ncommand = "x"', "one of command"),
        ("[notify.me]\ndetails = true", "one of command"),
        ("[notify.me]\ncommand = 3", "a line for the shell"),
        ('[notify.me]\ncommand = "x"\ndetails = "yes"', "true or false"),
        ('notify = "x"', "no [notify.me]"),
    ],
)
def test_what_an_entry_may_not_say_is_told_without_its_address(
    user: User, text: str, says: str
) -> None:
    user(text)
    with pytest.raises(UsageError) as told:
        receiver("me")
    assert says in str(told.value)
    assert KEY not in str(told.value)


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://chat.example/x", True),
        ("http://localhost:8080/x", True),
        ("http://127.0.0.9/x", True),
        ("http://[::1]:80/x", True),
        ("http://localhost.chat.example/x", False),
        ("http://2130706433.example/x", False),
        ("http://chat.example/x", False),
        ("https://a@chat.example/x", False),
        ("https://chat.example:port/x", False),
        ("file:///etc/passwd", False),
        ("https:///x", False),
    ],
)
def test_an_address_is_https_or_this_machine(address: str, safe: bool) -> None:
    assert is_safe(address) is safe


def test_settings_take_the_entries_from_the_user_and_from_no_project(
    user: User, tmp_path: Path
) -> None:
    user('[notify.me]\ncommand = "x"\n')
    assert load(str(tmp_path)).raised == ()
    (tmp_path / "hypervisor.toml").write_text('[notify.me]\ncommand = "x"\n')
    with pytest.raises(UsageError, match="unknown key notify"):
        load(str(tmp_path))
