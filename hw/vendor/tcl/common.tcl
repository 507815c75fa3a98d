# What the scripts share. Lines that begin with "bitswath" are for the program that runs them (hw/vendor/tools.py).

proc step {name} {
    puts "bitswath step: $name"
    flush stdout
}

proc refuse {message} {
    puts "bitswath refuses: $message"
    flush stdout
    exit 1
}

# Name and value of what was made, for the program.
proc tell {name value} {
    global result
    set file [open $result/facts.txt a]
    puts $file "$name $value"
    close $file
}

# The newest version of an IP in the catalog of this Vivado; "" if it has none.
proc newest {name} {
    set found [get_ipdefs -quiet -filter "NAME == $name && VENDOR == xilinx.com"]
    if {[llength $found] == 0} { return "" }
    return [lindex [lsort -dictionary [get_property VLNV $found]] end]
}

proc add_cell {kind name} {
    set vlnv [newest $kind]
    if {$vlnv eq ""} { refuse "this Vivado [version -short] has no IP $kind; install it with its device support" }
    return [create_bd_cell -type ip -vlnv $vlnv $name]
}

proc check_part {part} {
    if {[llength [get_parts -quiet $part]] == 0} {
        refuse "this Vivado [version -short] has no part $part; install its device support"
    }
}
