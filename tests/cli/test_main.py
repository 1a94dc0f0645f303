"""What holds for the command as a whole."""

import re


def test_help_lists_the_commands_as_people_meet_them(resound):
    listed = resound("--help").stdout.partition("Commands:")[2]
    names = re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE)
    assert names == [
        *(
            "restore",
            "separate",
            "info",
            "demo",
            "degrade",
            "corpus",
            "prepare",
            "harvest",
            "rooms",
            "models",
            "import",
        ),
        *("doctor", "train", "tune", "adapt", "reproduce", "evaluate", "compare", "report", "export", "stream"),
    ]
