from flyte_nb.plan.diff import FieldChange, NameChange, TaskChange
from flyte_nb.plan.preview import Plan, PlannedChange, PlannedFile, PlannedImage, PlannedSecret
from flyte_nb.widgets.plan import plan

UPDATED = PlannedChange(
    "base", "TaskEnvironment", "update", "v2", "v1",
    fields=(FieldChange("resources.cpu", "1", "2"), FieldChange("interruptible", "True", "")),
    tasks=(
        TaskChange("base.f", "changed", (NameChange("f", "changed"), NameChange("helper", "is new"))),
        TaskChange("base.g", "withdrawn"),
    ),
    names=(NameChange("serve", "changed"), NameChange("stop", "is gone")),
    files=(NameChange("a.html", "is gone"),),
)  # fmt: skip
NEW = PlannedChange("top", "TaskEnvironment", "create", "v2", has_tasks=("top.h",))


def test_what_changes_comes_first_then_notices_and_the_rest_is_folded():
    made = Plan(
        "v2", "0123456789abcdef", ("base", "top", "side"), (("base", "side"), ("top",)), (("base", "top"), ("side",)),
        (UPDATED, NEW, PlannedChange("side", "TaskEnvironment", "same", "v1", "v1")),
        (PlannedFile("a.csv", 2048, "included by 'top'"),),
        images=(PlannedImage("img:1", ("top",), "built"),),
        secrets=(PlannedSecret("api-key", "", "API_KEY", ("top",), ""),),
        notices=("top: disk 10Gi is not enforced on this machine",),
    )  # fmt: skip
    assert plan(made).text().splitlines() == [
        "plan  (deployment, 1 to create, 1 to update, 1 unchanged)",
        "  version  v2",
        "  digest   0123456789ab",
        "  order    base, side → top  (what stands between two arrows is applied at the same time)",
        "  groups   2  (each is deployed as a whole or not at all)",
        "  bundle   2.0 KiB  (1 file)",
        "~ base  update TaskEnvironment, v1 → v2",
        "~ base.resources.cpu  1 → 2",
        "- base.interruptible  True → default",
        "~ base.f  task changed: its own code changed, helper is new",
        "- base.g  task withdrawn",
        "~ base  reads serve  changed",
        "- base  reads stop  is gone",
        "- base  file a.html  is gone",
        "+ top  create TaskEnvironment at v2: h",
        "! top: disk 10Gi is not enforced on this machine",
        "= 1 unchanged",
        "  side  at v1",
        "bundle: 1 file, 2.0 KiB",
        "  file   size     why",
        "  a.csv  2.0 KiB  included by 'top'",
        "1 image",
        "  image  here   for",
        "  img:1  built  top",
        "1 secret, 1 nowhere",
        "  secret   variable  from     for",
        "  api-key  API_KEY   nowhere  top",
    ]
    html = plan(made).html()
    assert html.count("<details") == 4
    assert html.count("<details open") == 1  # the secret that is nowhere


def test_a_plan_of_a_thousand_is_bounded():
    changes = tuple(PlannedChange(f"e{n}", "E", "create" if n % 2 else "same", "v1") for n in range(1_000))
    files = tuple(PlannedFile(f"f{n}", n, "why") for n in range(1_000))
    waves = tuple((f"e{n}",) for n in range(1_000))
    made = plan(Plan("v1", "d" * 64, waves=waves, changes=changes, files=files))
    assert len(made.html()) < 60_000
    assert len(made.text()) < 12_000


def test_very_many_changes_of_one_environment_are_cut():
    fields = tuple(FieldChange(f"env_vars.V{n}", "'1'", "'2'") for n in range(100))
    made = plan(Plan("v2", "d", changes=(PlannedChange("e", "E", "update", "v2", "v1", fields=fields),)))
    assert "… e: 84 more" in made.text()


def test_markup_in_a_name_is_escaped():
    made = Plan("v1", "d", files=(PlannedFile("<script>", 1, "<img>"),), notices=("<b>x</b>",))
    assert not any(tag in plan(made).html() for tag in ("<script>", "<img>", "<b>x"))
