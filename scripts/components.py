"""Write ferryman.cdx.json: what requirements.lock installs, as a CycloneDX list of components (SBOM).

A wheel carries it in ``.dist-info/sboms`` (PEP 770). cyclonedx-py makes it; what it says of places to
download from is left out: where a package comes from is the business of whoever installs it, and the lock's
hashes hold for any place.
"""  # noqa: INP001  # a program, imported by nothing

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMAND = ("requirements", "--pyproject", "pyproject.toml", "--output-reproducible", "requirements.lock")


def without_places(value: Any) -> Any:  # noqa: ANN401  # JSON
    """The same JSON without references to places, and without descriptions of lines of the lock."""
    match value:
        case dict():
            kept = {key: each for key, each in value.items() if key != "externalReferences"}
            if str(kept.get("description", "")).startswith("requirements line"):
                del kept["description"]
            return {key: without_places(each) for key, each in kept.items()}
        case list():
            return [without_places(each) for each in value]
    return value


if __name__ == "__main__":
    made = subprocess.run(
        [str(Path(sys.executable).parent / "cyclonedx-py"), *COMMAND],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    text = json.dumps(without_places(json.loads(made.stdout)), indent=1, sort_keys=True)
    (ROOT / "ferryman.cdx.json").write_text(f"{text}\n", encoding="utf-8")
