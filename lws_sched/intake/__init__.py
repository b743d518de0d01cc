"""From Kubernetes objects to what the placement engine is asked: pure translations.

Nodes, pods and records become nodes with room and charges (`standing`); LeaderWorkerSets become groups that want a
place (`wanted`), with members as admission makes them (`shapes`). The extender's ledger and the commands share them, so
that a plan made from a file reads a cluster exactly as the live one does.
"""
