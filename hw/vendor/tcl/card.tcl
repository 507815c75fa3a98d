# Reports of what v++ linked: the routed design is in the project that it keeps.
#
# settings.tcl has: result, activity.

set here [file dirname [file normalize [info script]]]
source $here/common.tcl
source $here/reports.tcl
source settings.tcl

step "reports"
file mkdir $result
tell vivado [version -short]
open_project _x/link/vivado/vpl/prj/prj.xpr
open_run impl_1
write_reports $result $activity
close_project
