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
    # A client or a worker waits for most of them, and they end soon: nothing is given back before.
    import gc
    import os

    gc.disable()
    is_hook = sys.argv[1:2] == ["_hook"]
    if not is_hook:
        from hypervisor.cli import QUICK

        if not QUICK.issuperset(sys.argv[1:2]):
            gc.enable()
            sys.exit(run())
    done = run_hook() if is_hook else run()
    if sys.stdout is not None:
        sys.stdout.flush()
    os._exit(done)
