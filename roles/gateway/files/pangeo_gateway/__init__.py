"""dask-gateway for one host: the processes of a user run under the user's own uid, each in a sandbox and a control
group, and what one user holds over all clusters stays under the form's dask.max.*."""
