"""Settings of every Jupyter program (nbconvert, console), beside the server's own in jupyter_server_config.py."""

c = get_config()  # noqa: F821

# Kernels talk over sockets in the user's own /tmp: TCP ports of this host are open to its other users.
c.ConnectionFileMixin.transport = "ipc"
