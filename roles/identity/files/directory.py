#!/usr/bin/python3
"""A 389 Directory Server that lives entirely in one folder.

    directory.py create CONFIG     stdin: {"root_password": …}. Makes the folders and the first dse.ldif; there already: nothing
    directory.py certify CONFIG    stdin: {"pkcs12": base64, "password": …}. Makes the key store that CONFIG names
    directory.py run CONFIG        puts CONFIG's settings into dse.ldif and becomes ns-slapd, in the foreground

The distribution's own tool (dscreate) starts the server as root through systemd, listens in plain on the way and writes below
/etc and /var. The server itself needs none of that: everything it knows stands in dse.ldif, which is made here from the
same template that dscreate fills in. ns-slapd rewrites dse.ldif while it runs, so settings are changed only in "run",
before it starts; a restart is what brings a changed setting in, and it is always complete.

Only the standard library is used. Secrets come by standard input and never stand in arguments.
"""

import base64
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys

TEMPLATE = "/usr/share/dirsrv/data/template-dse.ldif"
SYSTEM_CONFIG = "/etc/dirsrv/config"
SHIPPED = ("slapd-collations.conf", "certmap.conf")
SERVER = "/usr/sbin/ns-slapd"
LOG_LEVEL = "132136960"  # from notices up. That there is a "-d" keeps the server in the foreground
PLUGINS = "cn=plugins,cn=config"
LDBM = "cn=ldbm database," + PLUGINS
FOLDERS = ("db", "log", "run", "lock", "ldif", "backup", "tmp", "keys")


class Failure(Exception):
    """Something the caller should read as one line."""


# --- LDIF ------------------------------------------------------------------------------------------------------------


def dn_key(dn):
    """Two spellings of a DN of cn=config compare equal."""
    return re.sub(r"\s*([,=])\s*", r"\1", dn).lower()


def parse_ldif(text):
    """A list of [dn, [(attribute, value as it stands after the colon)]]; base64 values keep their second colon."""
    entries = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\n ", "")):
        lines = [line for line in block.split("\n") if line and not line.startswith("#")]
        pairs = [(name, value) for name, _, value in (line.partition(":") for line in lines)]
        if pairs and pairs[0][0].lower() == "version":
            pairs = pairs[1:]
        if not pairs:
            continue
        if pairs[0][0].lower() != "dn":
            raise Failure("an entry of dse.ldif does not begin with its dn")
        entries.append([pairs[0][1].strip(), [(name, value.lstrip()) for name, value in pairs[1:]]])
    return entries


def format_ldif(entries):
    out = []
    for dn, pairs in entries:
        lines = ["dn: " + dn]
        for name, value in pairs:
            lines.append(name + ":" + value if value.startswith(":") else name + ": " + value)
        out.append("\n".join(lines) + "\n")
    return "\n".join(out)


def plain(value):
    """A value for LDIF; what does not fit on a plain line becomes base64."""
    text = str(value)
    if re.search(r"[^\x20-\x7e]", text) or text[:1] in (" ", ":", "<") or text.endswith(" "):
        return ": " + base64.b64encode(text.encode()).decode()
    return text


def lay_over(entries, dn, attributes):
    """Sets attributes of an entry (None takes one away) and makes the entry if it is not there."""
    for entry in entries:
        if dn_key(entry[0]) == dn_key(dn):
            break
    else:
        entry = [dn, []]
        entries.append(entry)
    for name, values in attributes.items():
        if values is not None and not isinstance(values, (list, tuple)):
            values = [values]
        entry[1] = [(n, v) for n, v in entry[1] if n.lower() != name.lower()]
        entry[1] += [(name, plain(value)) for value in values or ()]


def value_of(entries, dn, name):
    for entry in entries:
        if dn_key(entry[0]) == dn_key(dn):
            for attribute, value in entry[1]:
                if attribute.lower() == name.lower():
                    return value
    return None


# --- what the instance is to look like -------------------------------------------------------------------------------


def settings(config):
    """(dn, attributes) that hold at every start, whatever stood there before."""
    folder, suffix = config["folder"], config["suffix"]
    accounts = "cn=accounts," + suffix
    people = "cn=users," + accounts
    plugin = {"objectClass": ["top", "nsSlapdPlugin", "extensibleObject"]}
    yield (
        "cn=config",
        {
            # TLS only, and only on this machine.
            "nsslapd-localuser": config["user"],
            "nsslapd-port": 0,
            "nsslapd-security": "on",
            "nsslapd-securePort": config["port"],
            "nsslapd-listenhost": config["address"],
            "nsslapd-securelistenhost": config["address"],
            "nsslapd-ldapilisten": "off",
            "nsslapd-ldapiautobind": "off",
            "nsslapd-ldapifilepath": folder + "/run/socket",
            "nsslapd-require-secure-binds": "on",
            "nsslapd-certdir": folder + "/keys/" + config["keys"],
            "nsslapd-extract-pemfiles": "off",
            # Without a bind there is the root DSE and nothing else.
            "nsslapd-allow-anonymous-access": "rootdse",
            "nsslapd-allow-unauthenticated-binds": "off",
            # Passwords.
            "passwordStorageScheme": "PBKDF2-SHA512",
            "nsslapd-rootpwstoragescheme": "SSHA512",
            "nsslapd-rootpw": read_file(own_path(config, "root")),
            "nsslapd-enable-upgrade-hash": "off",
            "passwordCheckSyntax": "on",
            "passwordMinLength": 8,
            "passwordMinCategories": 1,
            # Guessing is slow: ten wrong ones, and five minutes none is taken for that account. It is no lock of an
            # administrator's (nsAccountLock), and the machines' own accounts have a policy without it: see role.yaml.
            "passwordLockout": "on",
            "passwordMaxFailure": 10,
            "passwordLockoutDuration": 300,
            "passwordResetFailureCount": 300,
            "passwordUnlock": "on",
            "passwordLegacyPolicy": "off",
            "nsslapd-pwpolicy-local": "on",
            # Hostile clients.
            "nsslapd-maxbersize": 1048576,
            "nsslapd-ioblocktimeout": 10000,
            "nsslapd-idletimeout": 300,
            # Small: one house, not a company.
            "nsslapd-threadnumber": 8,
            "nsslapd-maxdescriptors": 1024,
            "nsslapd-ndn-cache-max-size": 2097152,
            # Logs with a bound; nothing that would hold passwords.
            "nsslapd-accesslog-maxlogsize": 10,
            "nsslapd-accesslog-maxlogsperdir": 2,
            "nsslapd-errorlog-maxlogsize": 5,
            "nsslapd-errorlog-maxlogsperdir": 2,
            "nsslapd-securitylog-maxlogsize": 5,
            "nsslapd-securitylog-maxlogsperdir": 2,
            "nsslapd-auditlog-logging-enabled": "off",
            "nsslapd-auditfaillog-logging-enabled": "off",
        },
    )
    yield (
        "cn=encryption,cn=config",
        {
            "sslVersionMin": "TLS1.2",
            "nsSSLClientAuth": "off",
            "allowWeakCipher": "off",
        },
    )
    yield (
        "cn=RSA,cn=encryption,cn=config",
        {
            "objectClass": ["top", "nsEncryptionModule"],
            "cn": "RSA",
            "nsSSLPersonalitySSL": "Server-Cert",
            "nsSSLToken": "internal (software)",
            "nsSSLActivation": "on",
        },
    )
    yield (
        "cn=MemberOf Plugin," + PLUGINS,
        {
            "nsslapd-pluginenabled": "on",
            "memberOfGroupAttr": "member",
            "memberOfAttr": "memberOf",
            "memberOfAutoAddOC": "nsMemberOf",
            "memberOfEntryScope": suffix,
        },
    )
    yield (
        "cn=referential integrity postoperation," + PLUGINS,
        {
            "nsslapd-pluginenabled": "on",
            "referint-update-delay": 0,
            "referint-membership-attr": "member",
            "nsslapd-pluginContainerScope": suffix,
        },
    )
    yield (
        "cn=attribute uniqueness," + PLUGINS,
        {
            "nsslapd-pluginenabled": "on",
            "uniqueness-attribute-name": "uid",
            "uniqueness-subtrees": accounts,
        },
    )
    yield (
        "cn=uidNumber uniqueness," + PLUGINS,
        dict(
            plugin,
            **{
                "cn": "uidNumber uniqueness",
                "nsslapd-pluginpath": "libattr-unique-plugin",
                "nsslapd-plugininitfunc": "NSUniqueAttr_Init",
                "nsslapd-plugintype": "betxnpreoperation",
                "nsslapd-pluginenabled": "on",
                "nsslapd-plugin-depends-on-type": "database",
                "uniqueness-attribute-name": "uidNumber",
                "uniqueness-subtrees": people,
                "nsslapd-pluginId": "none",
                "nsslapd-pluginVersion": "none",
                "nsslapd-pluginVendor": "none",
                "nsslapd-pluginDescription": "none",
            },
        ),
    )
    yield "cn=Distributed Numeric Assignment Plugin," + PLUGINS, {"nsslapd-pluginenabled": "on"}
    yield (
        "cn=ids,cn=Distributed Numeric Assignment Plugin," + PLUGINS,
        {
            "objectClass": ["top", "extensibleObject"],
            "cn": "ids",
            "dnaType": ["uidNumber", "gidNumber"],
            "dnaMaxValue": config["last_uid"],
            "dnaMagicRegen": "-1",
            "dnaFilter": "(objectClass=posixAccount)",
            "dnaScope": people,
        },
    )
    yield (
        "cn=config," + LDBM,
        {
            "nsslapd-cache-autosize": 0,
            "nsslapd-dbcachesize": 10485760,
            "nsslapd-db-home-directory": folder + "/db",
            "nsslapd-search-bypass-filter-test": None,
        },
    )
    yield "cn=userRoot," + LDBM, {"nsslapd-cachememsize": 10485760, "nsslapd-dncachememsize": 4194304}


def database_library():
    """LMDB from the release that made it the default; Berkeley DB before."""
    with open("/usr/share/dirsrv/inf/defaults.inf", encoding="utf-8") as file:
        version = re.search(r"^version\s*=\s*(\d+)", file.read(), re.M)
    return "mdb" if version and int(version.group(1)) >= 3 else "bdb"


def hash_password(password, salt):
    """The root password is random and long: a slow hash would add nothing but time to each connection."""
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(password.encode() + salt).digest() + salt).decode()


def is_hash_of(text, password):
    if not text.startswith("{SSHA512}"):
        return False
    salt = base64.b64decode(text[len("{SSHA512}") :])[64:]
    return secrets.compare_digest(text, hash_password(password, salt))


def first_configuration(config):
    """dse.ldif from the packaged template, with one database for the suffix."""
    folder = config["folder"]
    values = {
        "schema_dir": own_path(config, "schema"),
        "lock_dir": folder + "/lock",
        "tmp_dir": folder + "/tmp",
        "cert_dir": folder + "/keys",
        "ldif_dir": folder + "/ldif",
        "bak_dir": folder + "/backup",
        "run_dir": folder + "/run",
        "inst_dir": folder,
        "log_dir": folder + "/log",
        "config_dir": own_path(config),
        "db_dir": folder + "/db",
        "db_home_dir": folder + "/db",
        "db_lib": database_library(),
        "fqdn": "localhost",
        "ds_port": "0",
        "ds_user": config["user"],
        "rootdn": config["root_dn"],
        "instance_name": config["name"],
        "ds_passwd": "",
        "ds_suffix": config["suffix"],
        "ldapi_enabled": "off",
        "ldapi": folder + "/run/socket",
        "ldapi_autobind": "off",
    }
    with open(TEMPLATE, encoding="utf-8") as file:
        text = file.read()
    names = set(re.findall(r"%([a-z_]+)%", text))
    if names - set(values):
        raise Failure("%s asks for %s, which is not known here" % (TEMPLATE, ", ".join(sorted(names - set(values)))))
    entries = parse_ldif(re.sub(r"%([a-z_]+)%", lambda match: values[match.group(1)], text))
    add_database(entries, config["suffix"], folder)
    return entries


def add_database(entries, suffix, folder):
    database = "cn=userRoot," + LDBM
    lay_over(
        entries,
        database,
        {
            "objectClass": ["top", "extensibleObject", "nsBackendInstance"],
            "cn": "userRoot",
            "nsslapd-suffix": suffix,
            "nsslapd-directory": folder + "/db/userRoot",
        },
    )
    # What the server copies by itself when a database is added to it while it runs.
    lay_over(entries, "cn=index," + database, {"objectClass": ["top", "extensibleObject"], "cn": "index"})
    defaults = dn_key("cn=default indexes,cn=config," + LDBM)
    for dn, pairs in list(entries):
        name, _, parent = dn_key(dn).partition(",")
        if parent == defaults:
            entries.append(["%s,cn=index,%s" % (name, database), list(pairs)])
    lay_over(
        entries,
        'cn="%s",cn=mapping tree,cn=config' % suffix,
        {
            "objectClass": ["top", "extensibleObject", "nsMappingTree"],
            "cn": [suffix, '"%s"' % suffix],
            "nsslapd-state": "backend",
            "nsslapd-backend": "userRoot",
        },
    )


# --- files -----------------------------------------------------------------------------------------------------------


def own_path(config, *names):
    """Below the folder of the server's configuration, whose name is unlike all others on the machine: see the C code."""
    return os.path.join(config["folder"], config["config"], *names)


def write_file(path, text, mode=0o600):
    """Atomic; the old content or the new, also after a power cut."""
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


def read_file(path):
    """ "" when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def become_owner(path):
    """Everything in the file's folder belongs to the server's account, so it is made by it. The file itself cannot say which
    account that is: the server could put another one in its place."""
    owner = os.stat(os.path.dirname(os.path.abspath(path))).st_uid
    if os.geteuid() != 0 or owner == 0:
        return
    account = pwd.getpwuid(owner)
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def shipped():
    """What the package brings for every server. In a container under a uid of our own it cannot be read; what is missing then
    are the orders of languages."""
    files = {}
    for name in SHIPPED:
        try:
            files[name] = read_file(os.path.join(SYSTEM_CONFIG, name))
        except PermissionError:
            files[name] = ""
    return files


def create(config, given, shipped):
    """shipped: what shipped() gave: its folder is closed to our server's account."""
    for name in FOLDERS:
        os.makedirs(os.path.join(config["folder"], name), mode=0o700, exist_ok=True)
    os.makedirs(own_path(config, "schema"), mode=0o700, exist_ok=True)
    write_file(own_path(config, "schema", "60caas.ldif"), config["schema"])
    for name in SHIPPED:
        write_file(own_path(config, name), shipped[name])
    root = own_path(config, "root")
    if not is_hash_of(read_file(root), given["root_password"]):
        write_file(root, hash_password(given["root_password"], secrets.token_bytes(16)))
    dse = own_path(config, "dse.ldif")
    if not os.path.exists(dse):
        write_file(dse, format_ldif(first_configuration(config)))


def tool(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Failure("%s: %s" % (argv[0], (done.stderr or done.stdout).strip()[-500:]))


def certify(config, given):
    """A key store of its own for each certificate: the running server's is never touched."""
    final = os.path.join(config["folder"], "keys", config["keys"])
    if os.path.exists(final + "/complete"):
        return
    shutil.rmtree(final, ignore_errors=True)
    os.makedirs(final, mode=0o700)
    pin = secrets.token_hex(20)
    write_file(final + "/pwdfile.txt", pin + "\n", 0o400)
    write_file(final + "/pin.txt", "Internal (Software) Token:%s\n" % pin, 0o400)
    write_file(final + "/transport.txt", given["password"] + "\n", 0o400)
    with open(final + "/server.p12", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(base64.b64decode(given["pkcs12"]))
    write_file(final + "/ca.pem", given["ca"])
    store = "sql:" + final
    tool(["certutil", "-N", "-d", store, "-f", final + "/pwdfile.txt"])
    tool(
        [
            "certutil",
            "-A",
            "-d",
            store,
            "-n",
            "CA",
            "-t",
            "CT,,",
            "-a",
            "-i",
            final + "/ca.pem",
            "-f",
            final + "/pwdfile.txt",
        ]
    )
    tool(
        [
            "pk12util",
            "-i",
            final + "/server.p12",
            "-d",
            store,
            "-k",
            final + "/pwdfile.txt",
            "-w",
            final + "/transport.txt",
        ]
    )
    for name in ("transport.txt", "server.p12", "ca.pem"):
        os.unlink(os.path.join(final, name))
    write_file(final + "/complete", "")


def sound_entries(path):
    """The entries of a dse.ldif, or nothing when it is not whole."""
    try:
        entries = parse_ldif(read_file(path))
    except (Failure, UnicodeDecodeError):
        return None
    whole = value_of(entries, "cn=config", "nsslapd-schemadir") and value_of(
        entries, "cn=userRoot," + LDBM, "nsslapd-suffix"
    )
    return entries if whole else None


def lives(config):
    """Does a server of this folder run? It keeps a file with its process id as long as it does."""
    lock = config["folder"] + "/lock/server"
    for name in os.listdir(lock) if os.path.isdir(lock) else ():
        try:
            with open("/proc/%d/cmdline" % int(name), encoding="utf-8", errors="replace") as file:
                if own_path(config) in file.read().split("\0"):
                    return True
        except (ValueError, OSError):
            continue
    return False


def drop_regions(config):
    """Berkeley DB's shared memory between two runs of the server. Cut off while it was made, it keeps every later start from
    its recovery (files too short to map); the server makes it anew from the database and its log when it is not there."""
    folder = config["folder"] + "/db"
    for name in os.listdir(folder):
        if re.fullmatch(r"__db\.\d+", name):
            os.unlink(os.path.join(folder, name))


def run(config):
    dse = own_path(config, "dse.ldif")
    before = read_file(dse)
    entries = sound_entries(dse) or sound_entries(dse + ".startOK") or sound_entries(dse + ".bak")
    if not entries:
        raise Failure("%s is damaged, and so are the copies the server keeps beside it" % dse)
    for dn, attributes in settings(config):
        lay_over(entries, dn, attributes)
    numbers = "cn=ids,cn=Distributed Numeric Assignment Plugin," + PLUGINS
    following = value_of(entries, numbers, "dnaNextValue")
    if following is None or not config["first_uid"] <= int(following) <= config["last_uid"] + 1:
        lay_over(entries, numbers, {"dnaNextValue": config["first_uid"]})
    after = format_ldif(entries)
    if after != before:
        write_file(dse, after)
    for name in os.listdir(os.path.join(config["folder"], "keys")):
        if name != config["keys"]:
            shutil.rmtree(os.path.join(config["folder"], "keys", name), ignore_errors=True)
    if not lives(config):
        drop_regions(config)
    os.execv(SERVER, [SERVER, "-D", own_path(config), "-d", LOG_LEVEL])


def main(argv):
    if len(argv) != 3 or argv[1] not in ("create", "certify", "run"):
        print("usage: directory.py create|certify|run CONFIG", file=sys.stderr)
        return 64
    os.umask(0o077)
    try:
        files = shipped() if argv[1] == "create" else {}
        become_owner(argv[2])
        with open(argv[2], encoding="utf-8") as file:
            config = json.load(file)
        given = json.load(sys.stdin) if argv[1] != "run" else None
        if argv[1] == "create":
            create(config, given, files)
        elif argv[1] == "certify":
            certify(config, given)
        else:
            run(config)
    except (Failure, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
        print("directory: %s: %s" % (type(error).__name__, error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
