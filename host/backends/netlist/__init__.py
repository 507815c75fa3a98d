"""The netlists that a build's modules become: mapped by Yosys, simulated beside the RTL, cycle by cycle."""
