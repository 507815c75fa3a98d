# Synthesis, place and route of the accelerator alone, in memory: no shell, no pins, no bitstream.
#
# settings.tcl has: part, clock_mhz, sources(dataflow), result, activity.

set here [file dirname [file normalize [info script]]]
source $here/common.tcl
source $here/reports.tcl
source settings.tcl

check_part $part
file mkdir $result
tell vivado [version -short]
tell clock_hz [expr {$clock_mhz * 1e6}]
step "synthesis"
create_project -in_memory -part $part
add_files -norecurse $sources(dataflow)
synth_design -top dataflow -part $part -mode out_of_context
create_clock -name ap_clk -period [expr {1e3 / $clock_mhz}] [get_ports ap_clk]
opt_design
step "placement"
place_design
phys_opt_design
step "routing"
route_design
step "reports"
write_reports $result $activity
