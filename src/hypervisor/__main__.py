"""Starts the program: run as a file by bin/hypervisor, as `python -m hypervisor`, or installed.

The launcher starts Python isolated and without `site`, which halves the start. So the two folders
that hold code are put on the path here: the sources, and last the libraries.
"""

import sys


def run() -> int:
    """Run one command line. Returns the exit code."""
    from hypervisor.cli import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    if not __package__:
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        if "t" in sys.abiflags:
            version += "t"
        sys.path.insert(0, __file__.rsplit("/", 2)[0])
        sys.path.append(f"{sys.executable.rsplit('/', 2)[0]}/lib/{version}/site-packages")
    done = run()
    if sys.argv[1:2] == ["_hook"]:
        import os

        # A client waits for this: what Python does at its end takes as long as what we did.
        sys.stdout.flush()
        os._exit(done)
    sys.exit(done)
