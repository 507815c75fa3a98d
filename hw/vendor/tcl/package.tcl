# Packages the kernels as IP-XACT, and for Vitis as .xo files.
#
# settings.tcl has: part, kernels (names of the top modules, which are the files NAME.v), sources(NAME), engines (those
# of the kernels that have registers and memory), vitis (1 or 0), ip (folder to package into).

source [file join [file dirname [file normalize [info script]]] common.tcl]
source settings.tcl

proc interface {name kind core} {
    set found [ipx::get_bus_interfaces -quiet $name -of_objects $core]
    if {$found eq ""} {
        ipx::infer_bus_interface $name $kind $core
        set found [ipx::get_bus_interfaces $name -of_objects $core]
    }
    return $found
}

proc parameter {bus name value} {
    set found [ipx::get_bus_parameters -quiet $name -of_objects $bus]
    if {$found eq ""} { set found [ipx::add_bus_parameter $name $bus] }
    set_property value $value $found
}

# Those of hw/rtl/dma/dma_control.sv that XRT needs: registers behind 0x0C are a kernel's arguments, in this order.
proc add_registers {core} {
    set map [ipx::get_memory_maps -quiet s_axi_control -of_objects $core]
    if {$map eq ""} { set map [ipx::add_memory_map s_axi_control $core] }
    set_property slave_memory_map_ref s_axi_control [ipx::get_bus_interfaces s_axi_control -of_objects $core]
    set block [ipx::get_address_blocks -quiet reg0 -of_objects $map]
    if {$block eq ""} { set block [ipx::add_address_block reg0 $map] }
    set_property usage register $block
    set_property range 4096 $block
    set_property width 32 $block
    foreach {name offset size} {CTRL 0x00 32 GIER 0x04 32 IP_IER 0x08 32 IP_ISR 0x0C 32 buffer 0x10 64 repetitions 0x1C 32} {
        set register [ipx::add_register $name $block]
        set_property address_offset $offset $register
        set_property size $size $register
    }
    set owner [ipx::add_register_parameter ASSOCIATED_BUSIF [ipx::get_registers buffer -of_objects $block]]
    set_property value m_axi_gmem $owner
}

proc add_engine {core} {
    set memory [interface m_axi_gmem xilinx.com:interface:aximm_rtl:1.0 $core]
    # bursts of at most 16 whole words (hw/generating/shell.py)
    foreach {name value} {MAX_BURST_LENGTH 16 SUPPORTS_NARROW_BURST 0 NUM_READ_OUTSTANDING 4 NUM_WRITE_OUTSTANDING 16} {
        parameter $memory $name $value
    }
    interface s_axi_control xilinx.com:interface:aximm_rtl:1.0 $core
    add_registers $core
    parameter [interface interrupt xilinx.com:signal:interrupt_rtl:1.0 $core] SENSITIVITY LEVEL_HIGH
    foreach bus {m_axi_gmem s_axi_control} { ipx::associate_bus_interfaces -busif $bus -clock ap_clk $core }
}

proc package_kernel {name} {
    global part sources engines vitis ip
    step "packaging $name"
    create_project -force $name projects/$name -part $part
    add_files -norecurse $sources($name)
    set_property top $name [current_fileset]
    update_compile_order -fileset sources_1
    ipx::package_project -root_dir $ip/$name -vendor bitswath -library kernel -taxonomy /UserIP -import_files -set_current true
    set core [ipx::current_core]
    set_property name $name $core
    set_property version 1.0 $core
    interface ap_clk xilinx.com:signal:clock_rtl:1.0 $core
    interface ap_rst_n xilinx.com:signal:reset_rtl:1.0 $core
    ipx::associate_bus_interfaces -clock ap_clk -reset ap_rst_n $core
    foreach stream {s_axis m_axis} {
        if {[llength [ipx::get_ports -quiet ${stream}_tdata -of_objects $core]]} {
            interface $stream xilinx.com:interface:axis_rtl:1.0 $core
            ipx::associate_bus_interfaces -busif $stream -clock ap_clk $core
        }
    }
    set engine [expr {$name in $engines}]
    if {$engine} { add_engine $core }
    if {$vitis} {
        set_property sdx_kernel true $core
        set_property sdx_kernel_type rtl $core
        set_property supported_families {} $core
        set_property auto_family_support_level level_2 $core
    }
    ipx::create_xgui_files $core
    ipx::update_checksums $core
    ipx::check_integrity $core
    ipx::save_core $core
    close_project
    if {$vitis} {
        set protocol [expr {$engine ? "ap_ctrl_hs" : "ap_ctrl_none"}]
        package_xo -force -xo_path $ip/$name.xo -kernel_name $name -ip_directory $ip/$name -ctrl_protocol $protocol
    }
}

check_part $part
foreach kernel $kernels { package_kernel $kernel }
