"""Commands that load a model, and steps, as Jobs of a Kubernetes cluster.

shapes     machines, by name
pods       what every pod has: security, scratch space, the place that a shape asks for
manifest   from a request to the Job (and Service), as plain dicts; imports nothing of Kubernetes
api        the few calls of the API that are used, on plain dicts, with errors that name the setting
findings   what a cluster's objects say about waiting and failing
logs       every attempt's log, while it grows
messages   Dagster Pipes over these logs
client     `PipesK8sJobClient`: one Job from its creation to its end
launcher   the resource that assets use
refusals   what would go wrong in a cluster, told beforehand
executor   steps of a run as pods
check      what is left to be set in rendered manifests
render     the Job of an asset, without running anything
cleanup    Jobs of runs that died
"""
