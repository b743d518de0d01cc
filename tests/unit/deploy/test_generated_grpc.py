from __future__ import annotations

from importlib.metadata import version

from deploy.tools import generate_grpc


def test_the_stubs_are_what_the_proto_says() -> None:
    """`python -m deploy.tools.generate_grpc` writes them anew."""
    folder = (generate_grpc.ROOT / generate_grpc.PROTO).parent
    generated = generate_grpc.generated()

    assert sorted(generated) == ["placement_pb2.py", "placement_pb2.pyi", "placement_pb2_grpc.py"]
    assert {name: (folder / name).read_text() for name in generated} == generated


def test_the_compiler_has_not_dragged_the_solver_back() -> None:
    """A newer grpcio-tools wants a protobuf that ortools 9.15 does not take; a resolver then picks an old solver."""
    assert version("ortools").startswith("9.15.")
    assert version("protobuf").startswith("6.33.")
    assert version("grpcio") == version("grpcio-health-checking") == version("grpcio-reflection")
