"""Where these files come by PYTHONPATH, of which Python reads no .pth. Another sitecustomize that this one hides runs as well."""

import importlib.machinery
import importlib.util
import os
import sys

import caas_env

caas_env.start(late=True)

_here = os.path.dirname(os.path.abspath(__file__))
_spec = importlib.machinery.PathFinder.find_spec(
    "sitecustomize", [p for p in sys.path if os.path.abspath(p or ".") != _here]
)
if _spec is not None and _spec.loader is not None:
    _spec.loader.exec_module(importlib.util.module_from_spec(_spec))
