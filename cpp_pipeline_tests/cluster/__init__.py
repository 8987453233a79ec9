"""The cluster that tests get: a simulator behind real HTTP, or the one of `KUBECONFIG`.

The simulator answers as kube-apiserver, job controller, scheduler and kubelet 1.36 do, as far as the project uses
them. A test that passes on one and fails on the other is an error of the simulator.
"""
