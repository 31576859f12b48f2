"""Between equals the order of nodes decides, so it is that of the graphs which the reference uses."""

import networkx as nx
import numpy as np
import pytest

from workers.inference.volume.order import reference_order


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("nodes", "ties"), [(6, 4), (40, 30), (900, 850), (3000, 2200), (3000, 6000)])
def test_nodes_are_looked_at_in_the_order_of_networkx(nodes: int, ties: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.integers(nodes, size=(ties, 2)), axis=1)
    pairs = np.unique(drawn[drawn[:, 0] != drawn[:, 1]], axis=0)
    graph = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(pairs.tolist())
    group, expected = np.empty(nodes, np.int64), []
    for index, component in enumerate(nx.connected_components(graph)):
        group[list(component)] = index
        expected += list(graph.subgraph(component))
    found = reference_order(group, pairs[:, 0], pairs[:, 1])
    assert found.tolist() == expected


def test_no_nodes_have_no_order() -> None:
    none = np.zeros(0, np.int64)
    assert reference_order(none, none, none).tolist() == []
