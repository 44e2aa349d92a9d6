"""The plain recipe that sign-in is compared with: JupyterHub with its stock spawner, the stock LDAP authenticator and
configurable-http-proxy, no sandbox. Its values are in the file that $BENCH_PLAIN names."""

import json
import os
import ssl

c = get_config()  # noqa: F821
with open(os.environ["BENCH_PLAIN"], encoding="utf-8") as file:
    values = json.load(file)
where = values["directory"]

c.JupyterHub.bind_url = values["url"]
c.JupyterHub.hub_bind_url = values["hub_url"]
c.JupyterHub.db_url = f"sqlite:///{values['folder']}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret = os.urandom(32)
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = values["proxy_api"]
c.ConfigurableHTTPProxy.auth_token = values["proxy_token"]

if where:
    c.JupyterHub.authenticator_class = "ldapauthenticator.LDAPAuthenticator"
    c.LDAPAuthenticator.server_address = where["address"]
    c.LDAPAuthenticator.server_port = where["port"]
    c.LDAPAuthenticator.tls_strategy = "on_connect"
    c.LDAPAuthenticator.tls_kwargs = {"validate": ssl.CERT_REQUIRED, "ca_certs_file": where["ca"]}
    c.LDAPAuthenticator.lookup_dn = True
    c.LDAPAuthenticator.lookup_dn_search_user = where["bind_dn"]
    c.LDAPAuthenticator.lookup_dn_search_password = where["bind_password"]
    c.LDAPAuthenticator.lookup_dn_search_filter = "({login_attr}={login})"
    c.LDAPAuthenticator.lookup_dn_user_dn_attribute = "uid"
    c.LDAPAuthenticator.user_search_base = where["users_base"]
    c.LDAPAuthenticator.user_attribute = "uid"
    c.LDAPAuthenticator.allow_all = True
    c.LDAPAuthenticator.search_filter = f"(&({{userattr}}={{username}})(memberOf={where['group']}))"
else:  # nobody is going to sign in
    c.JupyterHub.authenticator_class = "dummy"

c.JupyterHub.spawner_class = "localprocess"
c.Spawner.cmd = [values["python"], "-m", "jupyterhub.singleuser"]
c.Spawner.default_url = "/lab"
c.Spawner.environment = {"PATH": f"{os.path.dirname(values['python'])}:/usr/local/bin:/usr/bin:/bin"}
c.Spawner.env_keep = ["LANG", "LC_ALL"]
