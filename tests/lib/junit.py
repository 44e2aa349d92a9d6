"""Counts a pytest run from its JUnit report; names every skip; an unexpected skip is a failure."""

import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main() -> int:
    report, expected_file = sys.argv[1:3]
    expected = {line.split("#")[0].strip() for line in Path(expected_file).read_text().splitlines()} - {""}
    passed = failed = skipped = 0
    try:
        cases = list(ElementTree.parse(report).iter("testcase"))
    except ElementTree.ParseError:
        print("the test run left no report")
        cases, failed = [], 1
    for case in cases:
        name = f"{case.get('classname')}.{case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is None:
            passed += 1
        elif case.get("name") in expected:
            skipped += 1
            print(f"skip: {name}: {skip.get('message')}")
        else:
            failed += 1
            print(f"FAILED: {name} was skipped unexpectedly: {skip.get('message')}")
    print(f"integration: {passed} passed, {failed} failed, {skipped} skipped")
    if tally := os.environ.get("TALLY"):
        with open(tally, "a") as file:
            print(passed, failed, file=file)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
