"""Files of the user's own configuration, and the store that each names: one table for the program,
and for the launcher, which has to start the program with that store's library."""

from __future__ import annotations

STORE = "postgresql://somewhere/hypervisor"
# The text of a file, and the address in it; None where it names the embedded store or none.
NAMED = [
    (f'store = "{STORE}"', STORE),
    (f"# mine\nother = 1\nstore='{STORE}'\n", STORE),
    ('store = "sqlite"\n', None),
    (f'# store = "{STORE}"\n', None),
    (f'  store = "{STORE}"', STORE),
    (f'\tstore\t=\t"{STORE}"', STORE),
    (f'store="{STORE}"# mine\n', STORE),
    (f'\r\nstore = "{STORE}"\r\n[limits]\r\n', STORE),
    (f'"store" = "{STORE}"', STORE),
    (f"'store'='{STORE}'", STORE),
    (f'"st\\u006fre" = "\\u0070{STORE[1:]}"', STORE),
    (f'store = """\n{STORE}"""', STORE),
    (f"store = '''{STORE}'''", STORE),
    (f'[limits]\nstore = "{STORE}"', None),
    (f'[limits] # x\n  store = "{STORE}"', None),
    (f'limits.store = "{STORE}"', None),
    (f'limits = {{store = "{STORE}"}}', None),
    (f'[project."{STORE}"]\n', None),
    (f'x = """\nstore = "{STORE}"\n"""', None),
    (f"x = [\n'''\nstore = \"{STORE}\"\n''']", None),
]
# Of these the program says what is wrong.
REFUSED = [
    f'store = "{STORE}"\nstore = "{STORE}"',
    f'store = ["{STORE}"]',
    f'store.x = "{STORE}"',
    f"store = {STORE}",
    f'\ufeffstore = "{STORE}"',
    f'[limits] store = "{STORE}"',
    'store = "mysql://postgresql://"',
]
