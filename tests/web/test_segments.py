"""The composer says how many SMS a text costs before it is sent: by the same rules as the platform that sends it.

`tests/data/segments.json` is read by this test and by the pages' own (`dashboards/src/lib/inbox/segments.test.ts`): a
rule that changes on one side only makes one of them fail.
"""

import json
from pathlib import Path

from irisx_sdk.segments import count

EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "segments.json"


def test_the_platform_counts_as_the_examples_say() -> None:
    for example in json.loads(EXAMPLES.read_text()):
        found = count(example["text"])
        said = (example["encoding"], example["units"], example["segments"])
        assert (found.encoding, found.units, found.segments) == said, example["text"]
