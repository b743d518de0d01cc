"""Admission webhooks: what a hook is, the AdmissionReview envelope, certificates, and the HTTPS server for them.

A hook decides about one object and touches nothing else, so the real server and the simulated cluster call the same
one.
"""
