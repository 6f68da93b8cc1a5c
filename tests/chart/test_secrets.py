"""Secrets: who mounts which, what the migration needs, and that an upgrade changes none."""

from base64 import b64decode

import pytest
from support import (
    VALUE_SETS,
    Cluster,
    name_of,
    of_kind,
    pods,
    render,
    rendered,
    values,
)


def secret_keys(found):
    """Each file and variable that a pod takes from a Secret: pod, Secret, key."""
    for name, _, spec in pods(found):
        for volume in spec.get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                for item in source.get("secret", {}).get("items", []):
                    yield name, source["secret"]["name"], item["key"]
            if "secret" in volume:
                yield name, volume["secret"]["secretName"], None


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_secret_that_is_mounted_is_made_or_named_by_a_value(name):
    made = {o["metadata"]["name"]: o["data"] for o in of_kind(rendered(name), "Secret")}
    theirs = str(values(name))
    for pod, secret, key in secret_keys(rendered(name)):
        if secret in made:
            assert key is None or key in made[secret], (pod, secret, key)
        else:
            assert f"'{secret}'" in theirs, (pod, secret)


def test_the_migration_comes_before_new_pods_and_needs_nothing_of_the_release():
    job = lambda name: of_kind(rendered(name), "Job")[0]
    when = lambda name: job(name)["metadata"]["annotations"]["helm.sh/hook"]
    assert when("minimal") == when("production") == "pre-install,pre-upgrade"
    assert when("try-out") == "post-install,pre-upgrade", "its database comes with the release"
    hooks = [
        o
        for o in of_kind(rendered("minimal"), "Secret")
        if o["metadata"].get("annotations", {}).get("helm.sh/hook") == when("minimal")
    ]
    mounted = {
        secret for pod, secret, _ in secret_keys(rendered("minimal")) if pod.startswith("Job")
    }
    assert mounted == {o["metadata"]["name"] for o in hooks}
    assert "serviceAccountName" not in job("minimal")["spec"]["template"]["spec"]


SECRETS = ["minimal", "try-out", "cluster-tls"]


def secret_data(found):
    return {name_of(o): o["data"] for o in of_kind(found, "Secret")}


@pytest.mark.parametrize("name", SECRETS)
def test_an_upgrade_changes_no_secret(name):
    """`lookup` really asks: an API on this machine that has what the installation made."""
    with Cluster() as cluster:
        installed = cluster.render(values(name), is_install=True)
        cluster.apply(installed)
        upgraded = cluster.render(values(name), is_upgrade=True, is_install=False, revision=2)
    assert secret_data(upgraded) == secret_data(installed)
    assert secret_data(render(values(name))) != secret_data(installed), "else nothing was generated"


def test_a_secret_that_was_rotated_by_hand_stays_so():
    with Cluster() as cluster:
        cluster.apply(cluster.render(values("minimal")))
        cluster.secrets["demo-switchboard"]["data"]["SERVICE_TOKEN"] = (
            "bmV3IHRva2VuCm9sZCB0b2tlbg=="
        )
        upgraded = secret_data(cluster.render(values("minimal"), is_upgrade=True))
    assert upgraded["Secret/demo-switchboard"]["SERVICE_TOKEN"] == "bmV3IHRva2VuCm9sZCB0b2tlbg=="


def test_generated_secrets_agree_with_each_other():
    data = secret_data(rendered("try-out"))
    text = lambda secret, key: b64decode(data[f"Secret/demo-switchboard{secret}"][key]).decode()
    password = text("-mysql", "MYSQL_PASSWORD")
    assert f"switchboard:{password}@demo-switchboard-mysql.chat" in text("-stores", "DATABASE_URL")
    assert text("-migrate", "DATABASE_URL") == text("-stores", "DATABASE_URL")
    password = text("-redis", "REDIS_PASSWORD")
    assert f":{password}@demo-switchboard-redis.chat" in text("-stores", "REDIS_URL")
    assert f"requirepass {password}\n" in text("-redis", "redis.conf")
    assert len(text("", "JWT_SECRET")) >= 32 and len(text("", "SERVICE_TOKEN")) >= 16
