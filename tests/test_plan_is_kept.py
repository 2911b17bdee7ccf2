"""A plan says what deploying then does: small notebooks are edited at random, planned, deployed and compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import ran, written

NOTEBOOKS = '''
import hashlib, random, sys
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

shell, chance, home, count = InteractiveShell.instance(), random.Random(int(sys.argv[1])), Path("home"), 4
sys.path.insert(0, ".")

def run(source):
    shell.run_cell(source, store_history=True).raise_error()

run("%load_ext flyte_nb\\nimport flyte_nb as flyte\\nSHARED = 0\\nKEPT = set()")
import flyte_nb as flyte

given = [dict(const=0, cls=0, body=0, default=0, hint="int", needs=None, files=False, local=False, kept=False,
              cpu=1, cache="disable", retries=0, level="a") for _ in range(count)]
CHOICES = dict(const=(0, 1), cls=(0, 1), body=(0, 1), default=(0, 1), hint=("int", "float"), files=(True, False),
               local=(True, False), kept=(True, False), cpu=(1, 2), cache=("disable", "auto"), retries=(0, 1),
               level=("a", "b"))

def cell(i):
    s = given[i]
    needs = "" if s["needs"] is None else f", depends_on=[e{s['needs']}]"
    files = ", include=['data.txt']" if s["files"] else ""
    lines = ["import local", "x += local.V"] if s["local"] else []
    lines += ["x += len(KEPT)"] if s["kept"] else []
    body = "\\n    ".join([*lines, f"return help{i}(x) + K{i}.n + {s['body']}"])
    return f"""C{i} = {s['const']}
class K{i}:
    n = {s['cls']}
def help{i}(x):
    return x + C{i} + SHARED
e{i} = flyte.TaskEnvironment("e{i}", resources=flyte.Resources(cpu={s['cpu']}), cache="{s['cache']}",
                             env_vars={{"LEVEL": "{s['level']}"}}{needs}{files})
@e{i}.task(retries={s['retries']})
def task{i}(x: {s['hint']} = {s['default']}):
    {body}
"""

def write(name, text):
    Path(name).write_text(text)

def edit(i):
    kind = chance.choice([*CHOICES, *CHOICES, "needs", "comment", "shared", "keep", "data", "module", "draft", "back"])
    value = chance.randrange(3)
    if kind in CHOICES:
        given[i][kind] = chance.choice(CHOICES[kind])
    elif kind == "needs":
        given[i]["needs"] = chance.choice([None, *range(i)])
    elif kind == "comment":
        return run(cell(i).replace("return", "return  ") + "# a comment")
    elif kind == "back":
        known = flyte.deployments()
        named = [d for d in known if d.environment == f"e{i}" and len(flyte.deployments(f"e{i}")) > 1]
        return [flyte.rollback(d.environment) for d in named]
    else:
        return {
            "shared": lambda: run(f"SHARED = {value}"),
            "keep": lambda: run(f"KEPT.add('word-{value}')"),
            "data": lambda: write("data.txt", str(value)),
            "module": lambda: write("local.py", f"V = {value}"),
            "draft": lambda: run(f"flyte.draft(flyte.current_registry()['e{i}']).set('queue', 'q{value}').apply()"),
        }[kind]()
    run(cell(i))

def tree():
    files = [p for p in home.rglob("*") if p.is_file() and not p.name.endswith(("-wal", "-shm"))]
    return {str(p): (p.stat().st_mtime_ns, hashlib.md5(p.read_bytes()).hexdigest()) for p in files}

def told(made, before):
    what = lambda d: "same" if d.unchanged else "update" if d.environment in before else "create"
    return {d.environment: (d.version, what(d)) for d in made}

write("data.txt", "0")
write("local.py", "V = 0")
for i in range(count):
    run(cell(i))
for step in range(int(sys.argv[2])):
    for _ in range(chance.randrange(1, 3)):
        edit(chance.randrange(count))
    envs = [flyte.current_registry()[f"e{i}"] for i in chance.sample(range(count), chance.randrange(1, count + 1))]
    disk, before = tree(), {d.environment for d in flyte.deployments()}
    plan, again = flyte.plan(*envs), flyte.plan(*envs)
    dry = flyte.deploy(*envs, dry_run=True)
    assert tree() == disk, step
    assert plan.to_json() == again.to_json(), step
    planned = {change.environment: (change.version, change.what) for change in plan.changes}
    assert told(dry, before) == planned, (step, told(dry, before), planned)
    made = flyte.deploy(*envs)
    assert told(made, before) == planned, (step, told(made, before), planned)
    reasons = [bool(c.fields or c.tasks or c.names or c.files) for c in plan.changes if c.what == "update"]
    assert all(reasons), (step, plan)
    assert not flyte.plan(*envs), step
print("kept")
'''


@pytest.mark.parametrize("seed", [1, 2])
def test_a_plan_is_what_deploying_does(tmp_path: Path, seed: int) -> None:
    done = ran([written(tmp_path / "notebooks.py", NOTEBOOKS).name, str(seed), "15"], tmp_path)
    assert done.stdout.endswith("kept\n"), done.stderr[-3000:]
