"""The hub of a Pangeo cluster on one host: sign-in by LDAP groups, sandboxed servers, revocation that ends what is running."""
