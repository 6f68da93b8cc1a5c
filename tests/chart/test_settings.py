"""The chart and compose set what the programs know, and whatever they know can be set."""

import json

import yaml
from support import (
    CHART,
    PROGRAMS,
    ROOT,
    VALUE_SETS,
    env,
    rendered,
    services,
    settings_of,
)

# Settings for which a file is given instead.
AS_FILES = {"DATABASE_URL", "REDIS_URL", "JWT_SECRET", "SERVICE_TOKEN"}


def given_to(component):
    """All that the chart sets in any value set, but what `env` adds."""
    given = set()
    for name in VALUE_SETS:
        for one, _, _, container in services(rendered(name)):
            given |= set(env(container)) if one == component else set()
    return given - {"RUST_BACKTRACE", "AWS_REGION"}


def test_the_programs_know_every_setting_that_the_chart_makes():
    for component, program in PROGRAMS.items():
        assert given_to(component) - settings_of(program) == set(), program


def test_every_setting_of_the_programs_is_reached_by_a_value():
    for component, program in PROGRAMS.items():
        assert settings_of(program) - AS_FILES - given_to(component) == set(), program


def test_the_schema_offers_only_what_the_programs_know():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    offered = lambda at: set(at["properties"]["settings"]["properties"])
    assert offered(schema["gateway"]) <= settings_of("socket-gateway")
    assert offered(schema["messageApi"]) <= settings_of("message-api")
    shared = set(schema["settings"]["properties"])
    assert shared <= settings_of("socket-gateway") & settings_of("message-api")


def test_compose_sets_what_the_programs_know():
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    asked = {name: compose["services"][name] for name in ("message-api", "gateway-1", "gateway-2")}
    for name, service in asked.items():
        program = "message-api" if name == "message-api" else "socket-gateway"
        assert service["environment"], name
        assert set(service["environment"]) <= settings_of(program), name
