# The block design for a Zynq-7000 ("zynq") or Zynq UltraScale+ ("zynqmp"): the processing system, the accelerator between
# its DMA engines, registers and interrupt where bitswath's driver expects them; then its bitstream.
#
# settings.tcl has: part, board_part (vendor and name, "" for none), board_files, family, clock_mhz, crystal_mhz,
# port_bits (of the memory port), engine_addresses, controller_address, ip, result, jobs, activity (a SAIF file or "").

set here [file dirname [file normalize [info script]]]
source $here/common.tcl
source $here/reports.tcl
source settings.tcl

if {$family eq "zynq"} {
    array set pins {
        clock ps/FCLK_CLK0 reset ps/FCLK_RESET0_N control ps/M_AXI_GP0 memory ps/S_AXI_HP0 interrupt ps/IRQ_F2P
        clocked {ps/M_AXI_GP0_ACLK ps/S_AXI_HP0_ACLK}
    }
    set configuration [list \
        CONFIG.PCW_CRYSTAL_PERIPHERAL_FREQMHZ $crystal_mhz CONFIG.PCW_EN_CLK0_PORT 1 CONFIG.PCW_EN_RST0_PORT 1 \
        CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz CONFIG.PCW_USE_M_AXI_GP0 1 CONFIG.PCW_USE_M_AXI_GP1 0 \
        CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_S_AXI_HP0_DATA_WIDTH $port_bits \
        CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1]
} else {
    array set pins {
        clock ps/pl_clk0 reset ps/pl_resetn0 control ps/M_AXI_HPM0_FPD memory ps/S_AXI_HP0_FPD
        interrupt ps/pl_ps_irq0 clocked {ps/maxihpm0_fpd_aclk ps/saxihp0_fpd_aclk}
    }
    set configuration [list \
        CONFIG.PSU__FPGA_PL0_ENABLE 1 CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock_mhz \
        CONFIG.PSU__USE__M_AXI_GP0 1 CONFIG.PSU__MAXIGP0__DATA_WIDTH 32 \
        CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 \
        CONFIG.PSU__USE__S_AXI_GP2 1 CONFIG.PSU__SAXIGP2__DATA_WIDTH $port_bits CONFIG.PSU__USE__IRQ0 1]
}

proc intf {name} { return [get_bd_intf_pins $name] }

# With the board's preset where Vivado has the board's files: it matters for software that boots from this design, not
# for an overlay on a board that runs already.
proc add_processor {} {
    global family configuration has_board
    set kind [expr {$family eq "zynq" ? "processing_system7" : "zynq_ultra_ps_e"}]
    set ps [add_cell $kind ps]
    if {$family eq "zynq"} {
        set options [list make_external "FIXED_IO, DDR" apply_board_preset $has_board Master Disable Slave Disable]
    } else {
        set options [list apply_board_preset $has_board]
    }
    apply_bd_automation -rule xilinx.com:bd_rule:$kind -config $options $ps
    set_property -dict $configuration $ps
}

proc add_kernels {} {
    foreach kernel {idma dataflow odma} { create_bd_cell -type ip -vlnv bitswath:kernel:$kernel:1.0 ${kernel}0 }
    connect_bd_intf_net [intf idma0/m_axis] [intf dataflow0/s_axis]
    connect_bd_intf_net [intf dataflow0/m_axis] [intf odma0/s_axis]
}

# From the processor to registers, from engines to memory.
proc add_interconnects {} {
    global pins
    set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 3] [add_cell smartconnect control_axi]
    set_property -dict [list CONFIG.NUM_SI 2 CONFIG.NUM_MI 1] [add_cell smartconnect memory_axi]
    connect_bd_intf_net [intf $pins(control)] [intf control_axi/S00_AXI]
    connect_bd_intf_net [intf control_axi/M00_AXI] [intf idma0/s_axi_control]
    connect_bd_intf_net [intf control_axi/M01_AXI] [intf odma0/s_axi_control]
    connect_bd_intf_net [intf control_axi/M02_AXI] [intf intc/s_axi]
    connect_bd_intf_net [intf idma0/m_axi_gmem] [intf memory_axi/S00_AXI]
    connect_bd_intf_net [intf odma0/m_axi_gmem] [intf memory_axi/S01_AXI]
    connect_bd_intf_net [intf memory_axi/M00_AXI] [intf $pins(memory)]
}

# That of the engine that writes, through a controller as pynq wants it.
proc add_interrupt {} {
    global pins
    set_property CONFIG.C_IRQ_CONNECTION 1 [add_cell axi_intc intc]
    connect_bd_net [get_bd_pins odma0/interrupt] [get_bd_pins intc/intr]
    connect_bd_net [get_bd_pins intc/irq] [get_bd_pins $pins(interrupt)]
}

proc connect_clock_and_reset {} {
    global pins
    add_cell proc_sys_reset resets
    set kernels {idma0 dataflow0 odma0}
    set clocked [list resets/slowest_sync_clk control_axi/aclk memory_axi/aclk intc/s_axi_aclk {*}$pins(clocked)]
    set reset [list control_axi/aresetn memory_axi/aresetn intc/s_axi_aresetn]
    foreach kernel $kernels {
        lappend clocked $kernel/ap_clk
        lappend reset $kernel/ap_rst_n
    }
    foreach pin $clocked { connect_bd_net [get_bd_pins $pins(clock)] [get_bd_pins $pin] }
    foreach pin $reset { connect_bd_net [get_bd_pins resets/peripheral_aresetn] [get_bd_pins $pin] }
    connect_bd_net [get_bd_pins $pins(reset)] [get_bd_pins resets/ext_reset_in]
}

proc assign_addresses {} {
    global engine_addresses controller_address
    set space [get_bd_addr_spaces ps/Data]
    foreach engine {idma0 odma0} address $engine_addresses {
        assign_bd_address -target_address_space $space -offset $address -range 64K \
            [get_bd_addr_segs $engine/s_axi_control/reg0]
    }
    assign_bd_address -target_address_space $space -offset $controller_address -range 64K [get_bd_addr_segs intc/S_AXI/Reg]
    assign_bd_address  ;# what is left: memory, as the engines see it
}

step "block design"
check_part $part
set_param board.repoPaths [concat [get_param board.repoPaths] $board_files]
create_project -force system project -part $part
set boards [expr {$board_part eq "" ? "" : [get_board_parts -quiet -latest_file_version "$board_part:*"]}]
set has_board [expr {[llength $boards] > 0}]
if {$has_board} { set_property board_part [lindex $boards end] [current_project] }
set_property ip_repo_paths $ip [current_project]
update_ip_catalog

create_bd_design system
add_processor
add_kernels
add_interrupt
add_interconnects
connect_clock_and_reset
assign_addresses
validate_bd_design
save_bd_design

file mkdir $result
tell vivado [version -short]
tell clock_hz [get_property CONFIG.FREQ_HZ [get_bd_pins $pins(clock)]]
tell board_preset $has_board

set_property synth_checkpoint_mode Hierarchical [get_files system.bd]
add_files -norecurse [make_wrapper -files [get_files system.bd] -top]
set_property top system_wrapper [current_fileset]
update_compile_order -fileset sources_1
generate_target all [get_files system.bd]

proc run {name arguments} {
    global jobs
    launch_runs $name {*}$arguments -jobs $jobs
    wait_on_run $name
    if {[get_property PROGRESS [get_runs $name]] ne "100%"} {
        refuse "run $name failed: [get_property STATUS [get_runs $name]]; see project/system.runs/$name/runme.log"
    }
}

step "synthesis"
run synth_1 {}
step "place and route"
set_property strategy Performance_ExplorePostRoutePhysOpt [get_runs impl_1]
run impl_1 {-to_step write_bitstream}
step "reports"
open_run impl_1
write_reports $result $activity
file copy -force project/system.runs/impl_1/system_wrapper.bit $result/system.bit
file copy -force [lindex [glob project/system.gen/sources_1/bd/system/hw_handoff/system.hwh] 0] $result/system.hwh
close_project
