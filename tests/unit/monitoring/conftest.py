"""What dashboards and alerts say; read the way promql.py, which asks it of a Prometheus, reads it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "integration" / "lib"))
sys.path.insert(0, str(Path(__file__).parent))
