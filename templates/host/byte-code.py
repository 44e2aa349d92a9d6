"""Byte code of an environment's packages, by all processors.   byte-code.py FOLDER

Made when the environment is: its tree belongs to root, and those who run it could never write any. What only the packages' own
tests import is left out, which is a third of the Pangeo environment."""

import os
import py_compile
import sys

TESTS = {"test", "tests"}


def sources(folder):
    found = []
    for path, folders, names in os.walk(folder):
        # Further down only: a package may have the name itself.
        folders[:] = [name for name in folders if name != "__pycache__" and (path == folder or name not in TESTS)]
        found += [os.path.join(path, name) for name in names if name.endswith(".py")]
    return sorted(found, key=os.path.getsize, reverse=True)


def work(files):
    for file in files:
        try:
            py_compile.compile(file, doraise=True)
        except (py_compile.PyCompileError, ValueError):
            pass  # a template, or for another Python: whoever imports it is told


def main(folder):
    files = sources(folder)
    count = len(os.sched_getaffinity(0))
    print(f"byte code of {len(files)} files", flush=True)
    children = []
    for part in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(files[part::count])
                status = 0
            except OSError as error:
                print(error, file=sys.stderr, flush=True)
            finally:
                os._exit(status)
        children.append(child)
    ended = [os.waitpid(child, 0)[1] for child in children]
    return int(any(ended))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
