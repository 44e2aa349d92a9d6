"""A directory that is there already: the first cluster's, which has FreeIPA's shape, by an account that may make groups and
change who is in them, and no more. One of the second cluster's two groups is there, made by somebody else."""

from collections.abc import Iterator

import pytest
from conftest import NAME, PASSWORD, PORT, Cluster

SECOND = f"{NAME}-ipa"
FORM = """\
identity:
  provider: freeipa
  server: {uri}
  suffix: {suffix}
  ca: {ca}
  bind_dn: {account}
  bind_password_file: bind.password
  admins: [dora]
monitoring: {{enabled: false}}
"""
# What an administrator of the directory does beforehand, and afterwards.
BEFORE = """
assert c.add({account!r}, ['top', 'account', 'simpleSecurityObject'], {{'userPassword': {password!r}}}), c.result
assert c.modify({groups!r}, {{'aci': [(ldap3.MODIFY_ADD, {rights!r})]}}), c.result
assert c.add({theirs!r}, ['top', 'groupOfNames', 'nestedGroup', 'ipaUserGroup'], {{'description': 'theirs', 'member': [{dora!r}]}}), c.result
"""
AFTER = """
assert c.search({theirs!r}, '(objectClass=*)', ldap3.BASE, attributes=['description', 'member'])
assert c.entries[0].description.value == 'theirs'
assert sorted(c.entries[0].member.values) == sorted([{dora!r}, {alice!r}]), c.entries[0].member.values
assert c.search({ours!r}, '(objectClass=*)', ldap3.BASE, attributes=['member'])
for dn in ({theirs!r}, {ours!r}, {account!r}):
    assert c.delete(dn), c.result
assert c.modify({groups!r}, {{'aci': [(ldap3.MODIFY_DELETE, {rights!r})]}}), c.result
"""


@pytest.fixture(scope="module")
def names(cluster: Cluster) -> dict[str, object]:
    suffix = f"dc={cluster.name},dc=caas,dc=internal"
    account, groups = f"uid=caas,cn=sysaccounts,cn=etc,{suffix}", f"cn=groups,cn=accounts,{suffix}"
    who = f'userdn = "ldap:///{account}";'
    people = '(targetfilter = "(objectClass=ipausergroup)")'
    rights = [
        f'(target = "ldap:///cn=*,{groups}"){people}(version 3.0; acl "Made by a test: add"; allow (add) {who})',
        f'(targetattr = "member"){people}(version 3.0; acl "Made by a test: change"; allow (write) {who})',
    ]
    return {
        "suffix": suffix,
        "account": account,
        "groups": groups,
        "rights": rights,
        "password": PASSWORD,
        "theirs": f"cn={SECOND}_notebook_users,{groups}",
        "ours": f"cn={SECOND}_notebook_admins,{groups}",
        "alice": cluster.dn("users", "alice"),
        "dora": cluster.dn("users", "dora"),
    }


@pytest.fixture(scope="module")
def second(cluster: Cluster, names: dict[str, object]) -> Iterator[Cluster]:
    made = Cluster(cluster.caas, SECOND, PORT + 1)
    cluster.ldif(BEFORE.format(**names))
    access = cluster.directory()
    made.write_form(extra=FORM.format(**names, uri=access["uri"], ca=access["ca"]))
    password = made.form.with_name("bind.password")
    password.touch(0o600)
    password.write_text(PASSWORD + "\n")
    made.apply()
    yield made
    password.unlink()


def test_who_is_in_the_group_that_was_there_gets_in(second: Cluster) -> None:
    dora = second.signed_in("dora")
    assert dora.request("GET", "/hub/admin").status == 200  # identity.admins
    assert {user["name"]: user["admin"] for user in second.caas.json("users", SECOND)["users"]} == {"dora": True}
    status, text = second.client().login("alice", PASSWORD)
    assert status == 403 and f"{SECOND}_notebook_users" in text


def test_grant_and_a_server_under_the_directorys_number(cluster: Cluster, second: Cluster) -> None:
    second.caas.run("grant", SECOND, "alice")
    alice = second.signed_in("alice")
    assert alice.request("GET", "/hub/admin").status == 403
    alice.spawn()
    homes = [one.folder / "homes" / "mounts" / "alice" for one in (cluster, second)]
    assert alice.kernel().run("import os; print(os.getuid())").text.strip() == str(homes[1].stat().st_uid)
    assert homes[0].stat().st_uid == homes[1].stat().st_uid
    listed = {user["name"]: user for user in second.caas.json("users", SECOND)["users"]}
    assert set(listed) == {"alice", "dora"} and listed["alice"]["server"]


def test_accounts_are_the_directorys(second: Cluster) -> None:
    for words in (("add", SECOND, "zoe"), ("passwd", SECOND, "alice"), ("remove", SECOND, "alice", "--yes")):
        said = second.caas.run("user", *words, given=PASSWORD + "\n", status=1).stderr
        assert "managed there" in said, said


def test_the_health_test_needs_somebody(second: Cluster) -> None:
    assert "--user" in second.caas.run("test", SECOND, status=1).stderr
    said = second.caas.run("test", SECOND, "--user", "dora", given=PASSWORD + "\n").stdout.splitlines()
    assert len(said) >= 6 and all(line.startswith("ok ") for line in said), said


def test_the_home_alone_of_who_left_is_deleted(cluster: Cluster, second: Cluster) -> None:
    homes = [one.folder / "homes" / "images" / "alice.xfs" for one in (cluster, second)]
    words = ("user", "remove", SECOND, "alice", "--delete-home", "--yes")
    said = second.caas.run(*words, status=1).stderr
    assert f"caas revoke {SECOND} alice" in said and homes[1].exists(), said
    second.caas.run("revoke", SECOND, "alice")
    assert "the account is kept in ldaps://" in second.caas.run(*words).stdout
    assert [home.exists() for home in homes] == [True, False]
    assert "has no home" in second.caas.run(*words, status=1).stderr
    assert "alice" not in {user["name"] for user in second.caas.json("users", SECOND)["users"]}
    second.caas.run("grant", SECOND, "alice")  # the account is there as it was


def test_destroy_leaves_the_directory_as_it_may(cluster: Cluster, second: Cluster, names: dict[str, object]) -> None:
    second.caas.run("plan", str(second.form))  # nothing to do
    said = second.caas.run("destroy", SECOND, "--yes", "--delete-data").stdout
    assert f"{names['theirs']}: somebody else made it" in said, said
    assert f"{names['account']} may not remove it" in said, said
    assert not second.folder.exists()
    assert SECOND not in {item["name"] for item in second.caas.json("list")}
    cluster.ldif(AFTER.format(**names))
