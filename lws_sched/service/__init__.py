"""The placement service: what the commands answer, for programs, over gRPC.

`placement.proto` says what can be asked; `placement_pb2*` are written from it (deploy/tools/generate_grpc.py). The only
importer of `grpc`. Importing this package imports nothing heavy: what needs `grpc` says so by its module's name.
"""
