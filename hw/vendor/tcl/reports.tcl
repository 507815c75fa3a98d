# Reports of the open, routed design, which hw/vendor/reports.py reads.

# Put what was simulated of the accelerator to wherever it is in this design, and have Vivado read that.
proc read_activity {file folder} {
    set cells [get_cells -quiet -hierarchical -filter {REF_NAME == accelerator || ORIG_REF_NAME == accelerator}]
    if {[llength $cells] == 0} { return 0 }
    set source [open $file r]
    set text [read $source]
    close $source
    set begin "(INSTANCE accelerator"
    set at [string first $begin $text]
    set body [string range $text $at+[string length $begin] [string last ")" $text]-1]
    set target [open $folder/activity.saif w]
    puts $target "[string range $text 0 $at-1](INSTANCE design"
    foreach cell $cells {
        set path [split [get_property NAME $cell] /]
        foreach name $path { puts $target "(INSTANCE $name" }
        puts $target "$body[string repeat ")" [expr {[llength $path] - 1}]]"
    }
    puts $target "))"
    close $target
    read_saif -strip_path design $folder/activity.saif
    return 1
}

proc write_reports {folder activity} {
    file mkdir $folder/reports
    report_utilization -file $folder/reports/utilization.rpt
    report_utilization -hierarchical -file $folder/reports/utilization_hierarchical.rpt
    report_timing_summary -max_paths 10 -file $folder/reports/timing.rpt
    tell activity [expr {$activity ne "" && [read_activity $activity $folder/reports]}]
    report_power -file $folder/reports/power.rpt
}
