from tests.scenarios.cluster import Cluster


class SimCluster(Cluster): ...
