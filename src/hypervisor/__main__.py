"""Starts the program: run as a file by bin/hypervisor, as `python -m hypervisor`, or installed.

The launcher starts Python isolated and without `site`, which halves the start. So the two folders
that hold code are put on the path here: the sources, and last the libraries.
"""

import sys


def run() -> int:
    """Run one command line. Returns the exit code."""
    from hypervisor.cli import main

    return main(sys.argv[1:])


def run_hook() -> int:
    """Run `hypervisor _hook EVENT`. Where neither a pool nor the user's configuration has a say
    in that, it goes past the command line, which takes a tenth of the time."""
    import os

    from hypervisor.config.roots import user_file

    if len(sys.argv) != 3 or os.environ.get("HYPERVISOR_POOL") or os.path.lexists(user_file()):
        return run()
    from hypervisor.agents.hooks import limit
    from hypervisor.agents.hooks import run as handle

    limit.begin()
    if told := handle(sys.argv[2]):
        print(told)
    return 0


if __name__ == "__main__":
    if not __package__:
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        if "t" in sys.abiflags:
            version += "t"
        sys.path.insert(0, __file__.rsplit("/", 2)[0])
        sys.path.append(f"{sys.executable.rsplit('/', 2)[0]}/lib/{version}/site-packages")
    if sys.argv[1:2] != ["_hook"]:
        sys.exit(run())
    # A client waits for this, and it ends soon: nothing need be given back before.
    import gc
    import os

    gc.disable()
    done = run_hook()
    sys.stdout.flush()
    os._exit(done)
