"""Parameters of apps, the values that are found later, and how they travel."""

import asyncio
import base64
import copy
import gzip
import json

import pytest
from flyte_nb.app import AppEndpoint, ArtifactValue, Parameter, RunOutput, get_parameter
from flyte_nb.environments.parameter_transport import from_transport, to_transport
from flyte_nb.errors import RuntimeUserError
from hypothesis import given
from hypothesis import strategies as st


class File:
    def __init__(self, path):
        self.path = path


class Dir(File):
    pass


ARTIFACT = {"name": "model", "version": "3", "project": "shop", "domain": "production"}
VALUES = [
    None,
    "text",
    File("/a.csv"),
    Dir("/data"),
    RunOutput(type="file", run_name="r1"),
    ArtifactValue(**ARTIFACT),
    AppEndpoint(app_name="upstream"),
]


def sent(**fields):
    """Give how one parameter arrives."""
    [arrived] = from_transport(to_transport([Parameter("p", **fields)]))
    return arrived


# Parameter


def test_the_fields_of_a_parameter_in_their_order():
    parameter = Parameter("model", "text", "string", "MODEL", False, "/mnt", ["*.tmp"])
    assert (parameter.name, parameter.value, parameter.type) == ("model", "text", "string")
    assert (parameter.env_var, parameter.download, parameter.mount) == ("MODEL", False, "/mnt")
    assert parameter.ignore_patterns == ["*.tmp"]


def test_the_defaults_of_a_parameter():
    parameter = Parameter("model")
    assert (parameter.value, parameter.type, parameter.env_var, parameter.mount) == (None, None, None, None)
    assert parameter.download is True
    assert parameter.ignore_patterns == []
    assert Parameter(None).name == "i0"


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_every_kind_of_value_stays_the_same_object(value):
    assert Parameter("p", value).value is value


@pytest.mark.parametrize("wrong", [3, 1.5, True, b"text", ["a"], {"a": 1}, object(), File])
def test_another_value_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=r"Parameter.value"):
        Parameter("p", wrong)


@pytest.mark.parametrize("name", ["MODEL", "model_path", "_x1"])
def test_names_of_variables(name):
    assert Parameter("p", env_var=name).env_var == name


@pytest.mark.parametrize("wrong", ["", "1A", "A-B", "A B", "A\n", "É", "A=B"])
def test_another_name_of_a_variable_is_refused(wrong):
    with pytest.raises(ValueError, match=r"Parameter.env_var"):
        Parameter("p", env_var=wrong)


def test_other_fields_are_checked():
    for field, wrong in [
        ("type", "text"),
        ("download", 1),
        ("mount", 3),
        ("ignore_patterns", [1]),
        ("name", 3),
    ]:
        with pytest.raises(ValueError, match=f"Parameter.{field}"):
            Parameter(**{"name": "p", field: wrong})


def test_a_parameter_is_mutable_and_equal_by_value():
    parameter = Parameter("p", RunOutput(type=str, run_name="r1"))
    assert parameter == copy.deepcopy(parameter)
    parameter.value = "text"
    assert parameter.value == "text"
    with pytest.raises(TypeError):
        hash(parameter)


# RunOutput, ArtifactValue, AppEndpoint


@pytest.mark.parametrize(("kind", "kept"), [(str, "string"), (File, "file"), (Dir, "directory"), ("file", "file")])
def test_the_type_of_an_output_is_kept_as_a_word(kind, kept):
    assert RunOutput(type=kind, run_name="r1").type == kept
    assert RunOutput.model_validate({"type": kind, "run_name": "r1"}).type == kept


@pytest.mark.parametrize("wrong", ["text", "", "File"])
def test_another_type_of_an_output_is_refused(wrong):
    with pytest.raises(ValueError, match=r"RunOutput.type"):
        RunOutput(type=wrong)


@pytest.mark.parametrize("wrong", [int, None, 3, dict])
def test_an_output_type_that_is_no_such_class_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=r"RunOutput.type"):
        RunOutput(type=wrong)


def test_the_defaults_of_an_output():
    output = RunOutput(type="string")
    assert (output.run_name, output.task_name, output.task_version) == (None, None, None)
    assert (output.task_auto_version, output.getter) == (None, (0,))
    with pytest.raises(TypeError):
        RunOutput("string")
    for error in (TypeError, ValueError):
        with pytest.raises(error, match=r"RunOutput\.type: given None \(it is missing\)"):
            RunOutput(run_name="r")
    with pytest.raises(ValueError, match="task_auto_version"):
        RunOutput(type="string", task_name="t", task_auto_version="newest")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"run_name": "r", "task_name": "t"},
        {"run_name": "r", "task_version": "1"},
        {"task_name": "t", "task_version": "1", "task_auto_version": "latest"},
    ],
)
def test_fields_that_do_not_name_one_output_are_accepted_and_refused_by_validate(wrong):
    output = RunOutput(type="string", **wrong)
    with pytest.raises(ValueError, match=r"only one|exactly one|None, where a run is named"):
        output.validate()
    with pytest.raises(ValueError, match="RunOutput"):
        asyncio.run(output.materialize())


def test_fields_that_name_one_output():
    RunOutput(type="string", run_name="r").validate()
    RunOutput(type="string", task_name="t").validate()
    RunOutput(type="string", task_name="t", task_auto_version="latest").validate()


@pytest.mark.parametrize("value", [RunOutput(type=str, run_name="r1"), ArtifactValue(**ARTIFACT)])
def test_a_value_that_only_a_cluster_knows_is_not_found_here(value):
    with pytest.raises(RuntimeUserError, match="none is connected"):
        asyncio.run(value.materialize())


@given(
    st.sampled_from(["string", "file", "directory", "app_endpoint"]),
    st.none() | st.text(),
    st.lists(st.integers() | st.text()).map(tuple),
)
def test_an_output_survives_json(kind, run, getter):
    output = RunOutput(type=kind, run_name=run, getter=getter)
    assert RunOutput.model_validate_json(output.model_dump_json()) == output
    assert RunOutput.model_validate(output.model_dump()) == output


def test_other_forms_of_an_output():
    output = RunOutput(type="file", run_name="r", getter=("a", 1))
    assert output.model_dump(exclude_none=True) == {"type": "file", "run_name": "r", "getter": ("a", 1)}
    assert output.model_dump(mode="json", exclude_none=True)["getter"] == ["a", 1]
    assert RunOutput.model_validate_json(output.model_dump_json(indent=2, exclude_none=True)) == output
    assert output.model_dump_json(indent=2).startswith('{\n  "type": "file"')
    assert AppEndpoint(app_name="a").model_dump_json() == '{"type":"string","app_name":"a","public":false}'
    changed = output.model_copy(update={"run_name": "s"})
    assert (changed.run_name, output.run_name, output.model_copy() == output) == ("s", "r", True)
    with pytest.raises(ValueError, match=r"RunOutput.type"):
        output.model_copy(update={"type": "text"})


def test_validating_a_dict_leaves_it_as_it_is():
    data = {"type": str, "run_name": "r1"}
    output = RunOutput.model_validate(data)
    assert data == {"type": str, "run_name": "r1"}
    assert RunOutput.model_validate(output) is output


@pytest.mark.parametrize("wrong", [None, "r1", ["r1"], {}, {"run_name": "r1"}, {"type": "string", "run": "r1"}])
def test_other_data_is_refused(wrong):
    with pytest.raises(ValueError, match="RunOutput"):
        RunOutput.model_validate(wrong)
    with pytest.raises(ValueError, match="Expecting"):
        RunOutput.model_validate_json("{")


def test_an_artifact():
    artifact = ArtifactValue(**ARTIFACT, type="file")
    assert ArtifactValue.model_validate_json(artifact.model_dump_json()) == artifact
    assert ArtifactValue(**ARTIFACT).type is None
    newest = ArtifactValue(name="model")
    assert (newest.version, newest.project, newest.domain, newest.type) == (None, None, None, None)
    with pytest.raises(ValueError, match=r"Parameter\.type: given None .*a type, here or of the value"):
        to_transport([Parameter("p", newest)])
    (sent,) = from_transport(to_transport([Parameter("p", newest, type="file")]))
    assert (sent.type, sent.download) == ("file", True)


def test_the_endpoint_of_another_app():
    endpoint = AppEndpoint(app_name="upstream", public=True)
    assert (endpoint.app_name, endpoint.public, endpoint.type) == ("upstream", True, "string")
    assert AppEndpoint(app_name="upstream").public is False
    assert AppEndpoint.model_validate_json(endpoint.model_dump_json()) == endpoint
    assert asyncio.run(endpoint.materialize()) is endpoint
    assert asyncio.run(endpoint.get()) is endpoint
    with pytest.raises(ValueError, match=r"AppEndpoint.type"):
        AppEndpoint(app_name="upstream", type="file")


# How parameters travel


def test_text_travels_as_it_is():
    arrived = sent(value="text", env_var="P")
    assert (arrived.name, arrived.value, arrived.type, arrived.download) == ("p", "text", "string", False)
    assert (arrived.env_var, arrived.dest, arrived.ignore_patterns) == ("P", None, [])


@pytest.mark.parametrize(("value", "kind"), [(File("/a"), "file"), (Dir("/a"), "directory")])
def test_files_and_directories_travel_as_paths(value, kind):
    arrived = sent(value=value, ignore_patterns=["*.tmp"])
    assert (arrived.value, arrived.type, arrived.download) == ("/a", kind, True)
    assert arrived.ignore_patterns == ["*.tmp"]
    assert sent(value=value, download=False).download is False
    mounted = sent(value=value, download=False, mount="/mnt")
    assert (mounted.download, mounted.dest) == (True, "/mnt")


@pytest.mark.parametrize("value", [RunOutput(type="file", run_name="r"), ArtifactValue(**ARTIFACT, type="file")])
def test_values_found_later_travel_as_json(value):
    arrived = sent(value=value)
    assert type(value).model_validate_json(arrived.value) == value
    assert (arrived.type, arrived.download) == ("file", True)
    assert sent(value=value, download=False).download is False
    assert sent(value=value, download=False, mount="/mnt").download is True


def test_an_endpoint_travels_as_json_and_is_not_downloaded():
    arrived = sent(value=AppEndpoint(app_name="upstream"))
    assert (arrived.type, arrived.download) == ("app_endpoint", False)
    assert json.loads(arrived.value)["app_name"] == "upstream"


def test_an_explicit_type_wins():
    assert sent(value="s3://b/a.csv", type="file").type == "file"
    assert sent(value="s3://b/a.csv", type="file").download is False
    assert sent(value="s3://b/a.csv", type="file", mount="/mnt").download is True
    assert sent(value="text", type="string", mount="/mnt").download is False
    assert sent(value=File("/a"), type="string").type == "string"


def test_a_parameter_without_a_value_does_not_travel():
    with pytest.raises(ValueError, match=r"Parameter.value.*'p' was given none"):
        sent()


def test_the_transport_is_reproducible_compressed_json():
    parameters = [Parameter("a", "x" * 1000), Parameter("b", "y")]
    text = to_transport(parameters)
    assert text == to_transport(copy.deepcopy(parameters))
    names = [item["name"] for item in json.loads(gzip.decompress(base64.b64decode(text)))["parameters"]]
    assert names == ["a", "b"]
    assert len(text) < 500


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_any_texts_survive_the_transport(items):
    arrived = from_transport(to_transport([Parameter(name, value) for name, value in items]))
    assert [(parameter.name, parameter.value) for parameter in arrived] == items


@pytest.mark.parametrize("wrong", ["", "x", "eA==", "é", base64.b64encode(gzip.compress(b"{}", mtime=0)).decode()])
def test_another_text_is_refused(wrong):
    with pytest.raises(ValueError, match="serialised parameters"):
        from_transport(wrong)


# get_parameter


def test_a_parameter_is_read_from_the_file_of_the_app(tmp_path, monkeypatch):
    file = tmp_path / "parameters.json"
    file.write_text('{"model": "/m"}')
    monkeypatch.setenv("flyte-parameters.json", str(file))
    assert get_parameter("model") == "/m"
    with pytest.raises(KeyError, match="did you mean 'model'"):
        get_parameter("modle")
    file.write_text('{"model": "/n"}')
    assert get_parameter("model") == "/n"


def test_there_are_no_parameters_outside_an_app(monkeypatch):
    monkeypatch.delenv("flyte-parameters.json", raising=False)
    with pytest.raises(ValueError, match="no app is served"):
        get_parameter("model")
