import json
import platform

from bitsback.report import machine


def test_where_something_was_measured() -> None:
    about = machine.machine(["numpy", "no-such-package"])
    assert json.loads(json.dumps(about)) == about
    assert set(about["versions"]) == {"numpy"}
    text = machine.line(about)
    assert text.endswith(f"{about['date'][:10]}.") and f"Python {platform.python_version()}, numpy " in text
