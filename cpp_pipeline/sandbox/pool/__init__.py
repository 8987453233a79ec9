"""Judging in pods that are claimed from a warm pool of Kubernetes Agent Sandbox, and given back.

Belongs here: claims, leases, and the judge that hands work to leased pods. Not here: what runs in a pod (`pod`), and
HTTP (`client`, `controller`).
"""
