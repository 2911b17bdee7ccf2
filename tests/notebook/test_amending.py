"""A module holds the declaration that drafts have made of an environment, not the one that its cell still says."""

import pytest
from flyte_nb.environments.base import unannounced
from flyte_nb.environments.editing import with_values
from flyte_nb.environments.resources import Resources
from flyte_nb.errors import SliceError
from flyte_nb.notebook.slicer import Slicer

DECLARED = """
env = flyte.TaskEnvironment("am-e", queue="slow", env_vars={"LEVEL": "a"})

@env.task
def work() -> str:
    return env.queue
"""


def edit(kernel, name="am-e", reset=(), **values):
    made = with_values(kernel.registry[name], values, reset)
    kernel.registry.amend(made)
    return {name: made}


def executed(module):
    names = {}
    with unannounced():
        exec(module.source, names)
    return names


@pytest.fixture
def declared(kernel):
    kernel.cell("import flyte_nb as flyte\nfrom datetime import timedelta")
    kernel.cell(DECLARED)
    return kernel


def test_the_declaration_is_the_edited_one(declared):
    edits = edit(declared, reset=["queue"], env_vars={"LEVEL": "b"}, resources=Resources(cpu=2))
    module = declared.slice(tasks=[declared.registry.find_task("am-e.work")], edits=edits)
    names = executed(module)
    assert names["env"].to_dict() == edits["am-e"].to_dict()
    assert names["work"].environment.queue is None
    (notice,) = module.notices
    assert "'am-e' travels as a draft has changed it" in notice


def test_what_is_written_then_has_the_same_module(declared):
    edits = edit(declared, queue="fast")
    before = declared.slice(environments=[edits["am-e"]], edits=edits)
    declared.cell(DECLARED.replace("slow", "fast"))
    assert declared.slice(environments=[declared.registry["am-e"]]).digest == before.digest


def test_one_in_a_loop_travels_as_written_and_says_so(declared):
    declared.cell(
        "many = {}\nfor name in ('am-x', 'am-y'):\n    many[name] = flyte.TaskEnvironment(name, queue='slow')"
    )
    edits = edit(declared, "am-x", queue="fast")
    module = declared.slice(environments=[edits["am-x"]], edits=edits)
    (notice,) = module.notices
    assert "without the edit of queue" in notice
    assert "in a loop" in notice


def test_a_secret_of_a_draft_is_refused(declared):
    edits = edit(declared, env_vars={"LEVEL": "a", "API_KEY": "sk-planted-0123456789abcdef"})
    with pytest.raises(SliceError, match="API_KEY") as told:
        declared.slice(environments=[edits["am-e"]], edits=edits)
    assert "planted" not in str(told.value)


def test_a_kept_module_is_made_again_after_each_edit(declared):
    slicer = Slicer(declared.log)

    def queue(edits):
        found = slicer.module_for(declared.namespace, environments=[declared.registry["am-e"]], edits=edits)
        return executed(found)["env"].queue

    assert queue({}) == "slow"
    assert [queue(edit(declared, queue=one)) for one in ("b", "c", "d")] == ["b", "c", "d"]


@pytest.mark.parametrize(
    "cell",
    [
        "env = flyte.draft(env).set('queue', 'fast').apply()",
        "d = flyte.draft(env)\nd.queue = 'fast'\nenv = d.apply()",
        "other = flyte.TaskEnvironment('am-o')\n"
        "mine = flyte.draft(env).set('queue', 'fast').apply()\nenv = other\nenv = mine",
    ],
)
def test_a_variable_that_got_the_applied_draft_is_the_declaration(declared, cell, monkeypatch):
    from flyte_nb.drafting import drafts, rebasing

    for module_of_drafts in (drafts, rebasing):
        monkeypatch.setattr(module_of_drafts, "process_registry", declared.registry)
    declared.cell(cell)
    edits = {name: env for name, env in declared.registry.items() if env.unwritten}
    module = declared.slice(tasks=[declared.registry.find_task("am-e.work")], edits=edits)
    assert executed(module)["work"]() == "fast"


def test_a_clone_made_before_the_draft_keeps_what_it_inherited(declared):
    declared.cell("before = env.clone_with('am-b', interruptible=True)\nown = env.clone_with('am-own', queue='mine')")
    edits = edit(declared, reset=["env_vars"], queue="fast")
    clones = {name: declared.registry[name] for name in ("am-b", "am-own")}
    module = declared.slice(environments=clones.values(), edits={**edits, **clones})
    names = executed(module)
    assert names["env"].queue == "fast"
    assert names["before"].to_dict() == clones["am-b"].to_dict()
    assert names["own"].to_dict() == clones["am-own"].to_dict()
    assert len(module.notices) == 1
