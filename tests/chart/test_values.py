"""Values: what is refused, and how; what README says of them."""

import os
import re

import helm_python as helm
import pytest
import yaml
from support import CHART, render, values

MINIMAL = values("minimal")
# A route to several gateways, with nothing that holds polling clients.
POLLING = {"enabled": True, "parentRefs": [{"name": "front"}]}


def endpoint(url):
    """Where the store of uploads is, if not at AWS."""
    return {"name": "AWS_ENDPOINT_URL", "value": url}


def issuer(name, port=""):
    """Whose tokens are believed."""
    return {"issuer": name, "jwksUrl": f"https://id.example{port}/keys", "audience": "chat"}


def with_value(path, value):
    """The minimal values, with one changed."""
    given = yaml.safe_load(yaml.safe_dump(MINIMAL))
    *parents, last = path.split(".")
    at = given
    for key in parents:
        at = at.setdefault(key, {})
    at[last] = value
    return given


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("replicas", 3, "'replicas'"),
        ("gateway.replica", 3, "'replica'"),
        ("settings.TEXT_MAX", 0, "/settings/TEXT_MAX"),
        ("settings.PROTOCOLS", ["irc"], "/settings/PROTOCOLS"),
        ("settings.HTTP_ADDR", "0.0.0.0:1", "'HTTP_ADDR'"),
        ("gateway.settings.DRAIN_DELAY", "5s", "/gateway/settings/DRAIN_DELAY"),
        ("gateway.settings.SHUTDOWN_GRACE", None, "'SHUTDOWN_GRACE'"),
        ("messageApi.settings.DATABASE_CONNECTIONS", 2, "DATABASE_CONNECTIONS"),
        ("database.url", "postgres://host/chat", "/database/url"),
        ("redis.url", "http://host", "/redis/url"),
        ("media.url", "file:///tmp", "/media/url"),
        ("secrets.jwtSecret", "short", "/secrets/jwtSecret"),
        ("secrets.serviceToken", "short", "/secrets/serviceToken"),
        ("image.digest", "latest", "/image/digest"),
        ("ingress.stickiness", "magic", "/ingress/stickiness"),
        ("telemetry.tracesShare", 2, "/telemetry/tracesShare"),
        ("networkPolicy.redis.ports", [0], "/networkPolicy/redis/ports/0"),
        ("database.existingSecret", "also", "exactly one of database.url"),
        ("database.url", "", "exactly one of database.url"),
        ("tryOut.redis.enabled", True, "exactly one of redis.url"),
        ("media.persistence.enabled", True, "exactly one of media.url"),
        ("gateway.autoscaling.minReplicas", 99, "gateway.autoscaling.minReplicas"),
        ("messageApi.autoscaling.minReplicas", 99, "messageApi.autoscaling.minReplicas"),
        ("issuers", [{"issuer": "i"}], "/issuers/0"),
        ("issuers", [issuer("i") | {"jwksUrl": "http://id.example/keys"}], "/issuers/0/jwksUrl"),
        ("issuers", [issuer("i") | {"claim": "x"}], "'claim'"),
        ("issuers", [issuer("i"), issuer("i")], "issuers has i twice"),
        ("issuers", [issuer("i", ":8443")], "issuers.ports must have 8443, the port of jwksUrl of i"),
        ("grpcTls.enabled", True, "grpcTls.secret"),
        ("grpcTls", {"enabled": True, "secret": "s", "mutual": True}, "grpcTls.gatewaySecret"),
        ("ingress.enabled", True, "ingress.host"),
        ("httpRoute.enabled", True, "httpRoute.parentRefs"),
        ("httpRoute", POLLING, "httpRoute.sessionPersistence"),
        ("httpRoute", POLLING, "httpRoute.websocketsOnly"),
        ("database.url", "mysql://u:p@db:3307/chat", "networkPolicy.database.ports must have 3307"),
        ("database.url", "mysql://u@[::1]:33060/c?a=b:1", "networkPolicy.database.ports"),
        ("redis.url", "rediss://:a:1@r1,redis://:b@r2:6380", "networkPolicy.redis.ports"),
        ("networkPolicy.redis.ports", [6380], "must have 6379, the port of redis.url"),
        ("telemetry.endpoint", "http://collector:4318/v1", "must have 4318, the port of telemetry"),
        ("telemetry.endpoint", "https://collector", "networkPolicy.telemetry.ports must have 443"),
        ("messageApi.env", [endpoint("http://minio:9000")], "objectStore.ports must have 9000"),
        ("gateway.env", [{"name": "DRAIN_DELAY", "value": "9"}], "/gateway/env/0/name"),
        ("gateway.env", [{"name": "SHUTDOWN_GRACE", "value": "9"}], "/gateway/env/0/name"),
        ("gateway.env", [{"name": "CONNECTIONS_MAX", "value": "9"}], "/gateway/env/0/name"),
        ("messageApi.env", [{"name": "DATABASE_CONNECTIONS"}], "/messageApi/env/0/name"),
        (
            "secrets",
            {"existingSecret": "s", "serviceToken": "0123456789abcdef"},
            "secrets.existingSecret",
        ),
        (
            "media",
            {"persistence": {"enabled": True, "accessModes": ["ReadWriteOnce"]}},
            "media.persistence.accessModes",
        ),
    ],
)
def test_a_bad_value_is_refused_with_a_sentence_that_names_it(path, value, named):
    with pytest.raises(helm.HelmError) as refusal:
        render(with_value(path, value))
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("httpRoute", {**POLLING, "sessionPersistence": True}),
        ("httpRoute", {**POLLING, "websocketsOnly": True}),
        ("database.url", "mysql://u:p%40:9@db/chat?x=:1"),
        ("redis.url", "redis://:p:1@r1:6379, redis://[::1]:6379/0,rediss://r2"),
        ("messageApi.env", [endpoint("https://store.example/uploads")]),
    ],
)
def test_what_fits_together_is_not_refused(path, value):
    assert render(with_value(path, value))


def test_one_fixed_gateway_holds_its_clients_by_itself():
    alone = {"replicas": 1, "autoscaling": {"enabled": False}}
    assert render({**MINIMAL, "httpRoute": POLLING, "gateway": alone})


def test_ports_matter_only_where_there_are_policies():
    given = with_value("redis.url", "redis://redis.example:6380")
    assert render({**given, "networkPolicy": {"enabled": False}})
    assert render({**given, "networkPolicy": {"redis": {"ports": [6379, 6380]}}})


def test_the_bundled_redis_is_no_cluster():
    with pytest.raises(helm.HelmRenderError, match="redis.cluster"):
        render({**values("try-out"), "redis": {"cluster": True}})


LINE = re.compile(r"^( *)(?:#\s?(?P<comment>.*)|(?P<key>[\w]+):\s*(?P<value>.*))$")


def documented():
    """Path, default and meaning of every value, from the comments of values.yaml."""
    path, comment, rows, covered = [], [], [], []
    for line in (CHART / "values.yaml").read_text().splitlines():
        found = LINE.match(line)
        if not found:
            comment = []
        elif found["key"] is None:
            comment.append(found["comment"])
        else:
            depth = len(found[1]) // 2
            path = [*path[:depth], found["key"]]
            covered = [known for known in covered if known < depth]
            is_map = not found["value"]
            if comment:
                rows.append([".".join(path), found["value"], " ".join(comment)])
                covered.append(depth)
            assert is_map or comment or covered, f"values.yaml does not say what {path} is"
            comment = []
    return rows


def table():
    rows = [
        f"| `{path}` | {f'`{value}`' if value else ''} | {what} |"
        for path, value, what in documented()
    ]
    return "\n".join(["| value | default | what it is |", "|---|---|---|", *rows]) + "\n"


def test_readme_lists_every_value():
    """UPDATE_README=1 writes the table anew."""
    path = CHART / "README.md"
    before = path.read_text()
    head, rest = before.split("<!-- values -->\n")
    _, tail = rest.split("<!-- /values -->")
    after = f"{head}<!-- values -->\n{table()}<!-- /values -->{tail}"
    if os.environ.get("UPDATE_README"):
        path.write_text(after)
    else:
        assert before == after, (
            "helm/switchboard/README.md is out of date: UPDATE_README=1 make test-chart"
        )


def keys(schema, shared, where=""):
    """Every key that a schema knows, with a dot between a key and those within."""
    schema = shared[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    for key, inner in schema.get("properties", {}).items():
        yield f"{where}{key}"
        yield from keys(inner, shared, f"{where}{key}.")


def test_the_schema_and_values_yaml_know_the_same_keys():
    """Settings may be left out: the programs have defaults."""
    with helm.Chart.load(CHART) as chart:
        schema, given = chart.schema, chart.values

    def there(at, where=""):
        for key, value in at.items():
            yield f"{where}{key}"
            if isinstance(value, dict):
                yield from there(value, f"{where}{key}.")

    free = ("resources.", "labels.", "settings.", "global")
    is_ours = lambda key: not any(part in key for part in free)
    in_schema = set(filter(is_ours, keys(schema, schema["definitions"])))
    in_values = set(filter(is_ours, there(given)))
    assert in_schema == in_values
