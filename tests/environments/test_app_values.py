"""Ports, scaling, timeouts, domains and links."""

import dataclasses
import hashlib
from datetime import timedelta
from types import SimpleNamespace

import pytest
from flyte_nb.app import Domain, Link, Port, Scaling, Subdomain, Timeouts
from hypothesis import given
from hypothesis import strategies as st

RESERVED = [8012, 8022, 8112, 9090, 9091]
DEPLOYMENT = SimpleNamespace(project="shop", domain="production")


# Port


@given(st.integers())
def test_exactly_the_real_ports_that_are_not_reserved_are_accepted(number):
    if 1 <= number <= 65535 and number not in RESERVED:
        assert Port(number).port == number
    else:
        with pytest.raises(ValueError, match=r"Port.port"):
            Port(number)


@pytest.mark.parametrize("number", RESERVED)
def test_a_reserved_port_is_refused_with_what_it_is_for(number):
    with pytest.raises(ValueError, match=rf"given {number} \(reserved by the platform for the queue proxy"):
        Port(number)


@pytest.mark.parametrize("wrong", [True, "8080", 80.0, None])
def test_a_port_of_the_wrong_type_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=r"Port.port"):
        Port(wrong)


def test_a_port_is_frozen_hashable_and_equal_by_value():
    port = Port(8080, "h2c")
    assert (port.port, port.name) == (8080, "h2c")
    assert len({port, Port(8080, "h2c"), Port(8080)}) == 2
    with pytest.raises(AttributeError):
        port.port = 1
    with pytest.raises(TypeError):
        Port(8080, 3)


# Scaling


@pytest.mark.parametrize(
    ("given", "kept"), [(0, (0, 0)), (3, (3, 3)), ((0, 1), (0, 1)), ((2, 2), (2, 2)), ((0, 9), (0, 9))]
)
def test_replicas_become_a_pair(given, kept):
    scaling = Scaling(given)
    assert scaling.replicas == kept
    assert scaling.get_replicas() == kept


@pytest.mark.parametrize("wrong", [-1, (0, 0), (3, 2), (-1, 1), (1,), (1, 2, 3), ()])
def test_impossible_replicas_are_refused(wrong):
    with pytest.raises(ValueError, match=r"Scaling.replicas"):
        Scaling(wrong)


@pytest.mark.parametrize("wrong", ["3", 1.0, True, None, [1, 2], ("1", 2), (1, True), (1, None)])
def test_replicas_of_the_wrong_type_are_type_errors(wrong):
    with pytest.raises(TypeError, match=r"Scaling.replicas"):
        Scaling(wrong)


def test_scaling_defaults_and_positions():
    assert Scaling() == Scaling((0, 1), None, None)
    scaling = Scaling(2, Scaling.Concurrency(5), 60)
    assert scaling.metric == Scaling.Concurrency(val=5)
    assert scaling.scaledown_after == timedelta(seconds=60)
    scaling.replicas = 4
    assert scaling.get_replicas() == (4, 4)
    with pytest.raises(TypeError):
        hash(scaling)


def test_a_metric_stays_the_same_object():
    metric = Scaling.RequestRate(5)
    assert Scaling(metric=metric).metric is metric


@pytest.mark.parametrize("wrong", ["concurrency", 5, 0, False, Scaling])
def test_another_metric_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=r"Scaling.metric"):
        Scaling(metric=wrong)


@pytest.mark.parametrize("kind", [Scaling.Concurrency, Scaling.RequestRate])
def test_metrics_are_frozen_and_at_least_one(kind):
    assert kind(1).val == 1
    assert hash(kind(2)) == hash(kind(2))
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="val"):
            kind(wrong)
    for wrong in ("1", True, 1.5, None):
        with pytest.raises(TypeError):
            kind(wrong)
    with pytest.raises(AttributeError):
        kind(1).val = 2


def test_no_time_before_scaling_down_is_a_duration_too():
    assert Scaling(scaledown_after=0).scaledown_after == timedelta(0)
    assert isinstance(Scaling(scaledown_after=0).scaledown_after, timedelta)
    assert Scaling(scaledown_after=timedelta(minutes=1)).scaledown_after == timedelta(minutes=1)


@pytest.mark.parametrize("wrong", [-1, timedelta(seconds=-1), 10**30])
def test_an_impossible_time_before_scaling_down_is_refused(wrong):
    with pytest.raises(ValueError, match="scaledown_after"):
        Scaling(scaledown_after=wrong)


@pytest.mark.parametrize("wrong", ["60", 1.5, True])
def test_a_time_before_scaling_down_of_the_wrong_type(wrong):
    with pytest.raises(TypeError, match="scaledown_after"):
        Scaling(scaledown_after=wrong)


# Timeouts


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        (0, timedelta(0)),
        (3600, timedelta(hours=1)),
        (timedelta(minutes=5), timedelta(minutes=5)),
    ],
)
def test_request_timeouts(given, kept):
    assert Timeouts(given).request == kept


@pytest.mark.parametrize("wrong", [-1, 3601, timedelta(hours=1, microseconds=1), timedelta(seconds=-1), 10**30])
def test_an_impossible_request_timeout_is_refused(wrong):
    with pytest.raises(ValueError, match=r"Timeouts.request"):
        Timeouts(request=wrong)


@pytest.mark.parametrize("wrong", ["5", 1.5, True])
def test_a_request_timeout_of_the_wrong_type(wrong):
    with pytest.raises(TypeError, match=r"Timeouts.request"):
        Timeouts(wrong)


# Domain and Subdomain


def test_a_domain_by_default_says_nothing():
    assert (Domain().subdomain, Domain().custom_domain) == (None, None)
    assert Domain("shop").subdomain == "shop"
    subdomain = Subdomain("shop")
    assert Domain(subdomain, "shop.example.com").subdomain is subdomain
    with pytest.raises(TypeError, match=r"Domain.subdomain"):
        Domain(3)


@pytest.mark.parametrize("wrong", [{}, {"app_name": "a", "function": str}])
def test_a_subdomain_needs_exactly_one_source(wrong):
    with pytest.raises(ValueError, match="exactly one of app_name and function"):
        Subdomain(**wrong)


def test_subdomains_of_a_name():
    digest = hashlib.sha256(b"shop-production").hexdigest()[:8]
    assert Subdomain("cart").resolve(None, DEPLOYMENT) == f"cart-{digest}"
    assert Subdomain.from_app_name("cart") == Subdomain("cart", "hash")
    assert Subdomain.from_app_name(app_name="cart", project_domain_suffix="default") == Subdomain("cart", "default")
    assert Subdomain.from_app_name("cart", "default").resolve(None, DEPLOYMENT) == "cart-shop-production"
    with pytest.raises(ValueError, match="project_domain_suffix"):
        Subdomain("cart", "plain")


@pytest.mark.parametrize("project", [None, ""])
def test_a_subdomain_of_a_name_needs_a_project_and_a_domain(project):
    with pytest.raises(ValueError, match="a project and a domain"):
        Subdomain("cart").resolve(None, SimpleNamespace(project=project, domain="production"))


def test_subdomains_of_a_function():
    subdomain = Subdomain.from_function(lambda app, sctx: f"{app}-in-{sctx.project}")
    assert subdomain.resolve("cart", DEPLOYMENT) == "cart-in-shop"
    for wrong in ("", None, 3):
        with pytest.raises(ValueError, match=r"Subdomain.function"):
            Subdomain(function=lambda app, sctx, wrong=wrong: wrong).resolve("cart", DEPLOYMENT)
    with pytest.raises(TypeError, match=r"Subdomain.function"):
        Subdomain(function="cart")


def test_a_subdomain_is_frozen_and_hashable():
    assert hash(Subdomain("a")) == hash(Subdomain("a"))
    with pytest.raises(AttributeError):
        Subdomain("a").app_name = "b"


# Link


def test_a_link():
    link = Link("/docs", "Docs", True)
    assert (link.path, link.title, link.is_relative) == ("/docs", "Docs", True)
    assert Link("https://example.com", "Home").is_relative is False
    assert dataclasses.replace(link, title="API") == Link("/docs", "API", True)
    with pytest.raises(AttributeError):
        link.path = "/"
    with pytest.raises(TypeError, match=r"Link.title"):
        Link("/docs", None)
