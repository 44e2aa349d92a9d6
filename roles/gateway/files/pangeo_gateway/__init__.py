"""dask-gateway with a cap on what one user holds over all clusters, the form's dask.max.*.

On a host (backend.py) the processes of a user run under the user's own uid, each in a sandbox and a control group. On
Kubernetes (kubernetes.py, controller.py) they are pods; there the image holds no more than dask-gateway itself."""
