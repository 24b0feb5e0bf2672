// Words of keepalived.conf for keys of ours: somebody who writes one by habit is told ours. On the change's way, only after a
// key was refused. A file in keepalived's own language is not read here.

/** By keepalived.conf(5); `no...` words come to a flag that is false. */
const words: ReadonlyMap<string, string> = new Map([
  ["virtual_router_id", "vrid"],
  ["advert_int", "advertisementInterval"],
  ["auth_pass", "password"],
  ["authentication", "password"],
  ["virtual_ipaddress", "addresses"],
  ["virtual_ipaddress_excluded", "silentAddresses"],
  ["virtual_ips", "addresses"],
  ["mcast_src_ip", "sourceAddress"],
  ["unicast_src_ip", "sourceAddress"],
  ["unicast_peer", "unicastPeers"],
  ["track_script", "track"],
  ["track_interface", "track"],
  ["track_process", "track"],
  ["track_file", "track"],
  ["nopreempt", "preempt"],
  ["preempt_delay", "preemptDelay"],
  ["vrrp_version", "version"],
  ["down_timer_adverts", "downAdvertisements"],
  ["garp_master_delay", "announce"],
  ["garp_master_refresh", "announce"],
  ["garp_master_repeat", "announce"],
  ["vrrp_script", "tracks"],
  ["vrrp_instance", "virtualRouters"],
  ["vrrp_sync_group", "syncGroups"],
  ["group", "members"],
  ["script", "command"],
  ["notify_master", "active"],
  ["notify_backup", "backup"],
  ["notify_fault", "fault"],
  ["notify_stop", "stop"],
  ["notify_fifo", "fifo"],
  ["smtp_server", "server"],
  ["notification_email", "to"],
  ["notification_email_from", "from"],
]);

/** The key among `known` that stands for keepalived's word; undefined when the word is none, or has no key here. */
export function ourWord(word: string, known: readonly string[]): string | undefined {
  const ours = words.get(word.toLowerCase());
  return ours !== undefined && known.includes(ours) ? ours : undefined;
}
