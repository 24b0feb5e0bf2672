// Words of keepalived's `global_defs`, and of the file beside it, that come to nothing here: because they tune another program, or
// because what they ask for does not exist. Each with its reason; nothing is passed over. On the change's way, data alone.

import { each, idle, type Rules, refused } from "./rules.ts";

const priorities = "the process that speaks VRRP takes a real-time priority by itself where the machine grants one";
const buffers = "sizes of sockets are chosen here";
const monitoring = "figures are at /metrics and `evenkeel status` instead of SNMP and D-Bus";
const processes = "processes, their names and files are this program's own affair";
const firewall = "no firewall is needed: addresses are the interface's own, and take packets";
const notChecked =
  "the address list of an advertisement is compared without cost; `addressMismatch` says what a difference does";

export const idleGlobals: Rules = new Map([
  ...each(
    "max_auto_priority min_auto_priority_delay vrrp_priority checker_priority bfd_priority vrrp_rt_priority checker_rt_priority bfd_rt_priority vrrp_rlimit_rttime checker_rlimit_rttime bfd_rlimit_rttime vrrp_rlimit_rtime checker_rlimit_rtime bfd_rlimit_rtime vrrp_no_swap checker_no_swap bfd_no_swap vrrp_cpu_affinity checker_cpu_affinity bfd_cpu_affinity",
    idle(priorities),
  ),
  ...each(
    "vrrp_netlink_cmd_rcv_bufs vrrp_netlink_cmd_rcv_bufs_force vrrp_netlink_monitor_rcv_bufs vrrp_netlink_monitor_rcv_bufs_force lvs_netlink_cmd_rcv_bufs lvs_netlink_cmd_rcv_bufs_force lvs_netlink_monitor_rcv_bufs lvs_netlink_monitor_rcv_bufs_force process_monitor_rcv_bufs process_monitor_rcv_bufs_force vrrp_rx_bufs_policy vrrp_rx_bufs_multiplier",
    idle(buffers),
  ),
  ...each(
    "snmp_socket enable_snmp_keepalived enable_snmp_vrrp enable_snmp_checker enable_snmp_rfc enable_snmp_rfcv2 enable_snmp_rfcv3 enable_traps enable_dbus dbus_service_name",
    idle(monitoring),
  ),
  ...each(
    "process_names process_name vrrp_process_name checker_process_name bfd_process_name umask tmp_config_directory config_save_dir data_use_instance random_seed reload_check_config reload_time_file reload_repeat reload_file include_check fifo_write_vrrp_states_on_reload",
    idle(processes),
  ),
  ...each(
    "nftables nftables_priority nftables_counters nftables_ifindex nftables_ipvs nftables_ipvs_priority nftables_ipvs_start_fwmark vrrp_iptables vrrp_ipsets disable_local_igmp",
    idle(firewall),
  ),
  ["vrrp_skip_check_adv_addr", idle(notChecked)],
  ...each("vrrp_garp_interval vrrp_gna_interval", idle("announcements leave one behind the other, without a pause")),
  ["vrrp_check_unicast_src", idle("with unicast peers only they are listened to")],
  ["vrrp_lower_prio_no_advert", idle("another active of lower priority is answered at once, so that it yields sooner")],
  ["vrrp_higher_prio_send_advert", idle("who takes over announces the addresses anew in any case")],
  ["log_unknown_vrids", idle("packets of other virtual routers are counted, and logged once a minute")],
  ["checker_log_all_failures", idle("every change of a target's health is logged and an event")],
  ["rs_init_notifies", idle("no command is told of targets")],
  ["lvs_flush", idle("nothing of IPVS is touched")],
  ["lvs_flush_on_stop", idle("nothing of IPVS is touched")],
  ...each("vmac_prefix vmac_addr_prefix", idle("no macvlan interfaces are made")),
  ["linkbeat_use_polling", idle("the kernel tells of every carrier that is lost")],
]);

const beside = "configure the machine's network with its own means (netplan, systemd-networkd, ip)";
const startup = "a unit's ExecStartPre= and ExecStopPost=";

export const refusedGlobals: Rules = new Map([
  ...each(
    "startup_script shutdown_script startup_script_timeout shutdown_script_timeout",
    refused("no command runs with the program's start and end", startup),
  ),
  ["vrrp_startup_delay", refused("virtual routers take part at once", "ExecStartPre=/bin/sleep of the unit")],
  [
    "lvs_sync_daemon",
    refused("connections are not copied to other nodes", "no such line: they are opened anew after a failover"),
  ],
  ...each(
    "vrrp_mcast_group4 vrrp_mcast_group6",
    refused("advertisements go to the groups of RFC 9568", "unicast_peer in each instance, or no such line"),
  ),
]);

/** Words that stand outside of every block, or begin one that has no meaning here. */
export const topWords: Rules = new Map([
  ...each("instance use_pid_dir child_wait_time", idle(processes)),
  ["linkbeat_use_polling", idle("the kernel tells of every carrier that is lost")],
  ["linkbeat_interfaces", idle("the kernel tells of every carrier that is lost")],
  ["namespace_with_ipsets", idle(firewall)],
  ["garp_group", idle("announcements leave one behind the other, without a pause")],
  ...each(
    "net_namespace net_namespace_ipvs",
    refused(
      "the program runs in the namespace it is started in",
      "`ip netns exec NAME evenkeel run`, or NetworkNamespacePath= of the unit",
    ),
  ),
  ...each(
    "static_ipaddress static_routes static_rules track_group",
    refused("addresses and routes that stay with the machine are not set", beside),
  ),
  [
    "interface_up_down_delays",
    refused("a lost carrier counts at once", "no such block, and a track with `fall` for what flaps"),
  ],
  [
    "bfd_instance",
    refused(
      "BFD is not spoken",
      "a `gateway` track, which asks the router itself, or a shorter advert_int with version 3",
    ),
  ],
  ["SSL", refused("probes show no certificate of their own", "no SSL block; SSL_GET works without")],
]);
