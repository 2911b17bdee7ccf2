import ast

from flyte_nb.notebook.grouped import grouped

SOURCE = """
from zoo import b, a as c, A, AB
import numpy as np
from __future__ import annotations
import json
import json
import Csv
from dataclasses import field
from helpers import clean
import os.path, csv
from dataclasses import dataclass
import helpers
from . import beside
"""


def test_imports_stand_in_groups_and_those_from_one_module_are_one():
    assert grouped(ast.parse(SOURCE).body, {"helpers"}) == (
        "from __future__ import annotations\n\n"
        "import csv\nimport json\nimport os.path\nfrom dataclasses import dataclass, field\n\n"
        "import Csv\nimport numpy as np\nfrom zoo import AB, A, a as c, b\n\n"
        "import helpers\nfrom . import beside\nfrom helpers import clean"
    )
    assert grouped([], set()) == ""


def test_a_long_import_has_a_name_a_line():
    names = [f"name_{n:02}" for n in range(20)]
    written = grouped(ast.parse(f"from json import {', '.join(names)}").body, set())
    assert written == "from json import (\n" + "".join(f"    {name},\n" for name in names) + ")"
