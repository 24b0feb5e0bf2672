// Words of other programs for keys of ours: somebody who writes one by habit is told ours. keepalived.conf's, nginx.conf's with
// nginx-upsync-module's, and those of Consul, etcd and their tools. On the change's way, only after a key was refused. A
// file in one of their languages is not read here.

type Words = readonly (readonly [word: string, ...ours: readonly string[]])[];

/** By keepalived.conf(5); `no...` words come to a flag that is false. */
const keepalived: Words = [
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
  ["notify_fifo_script", "fifoReader"],
  ["notify_priority_changes", "priorityChanges"],
  ["smtp_server", "server"],
  ["notification_email", "to"],
  ["notification_email_from", "from"],
];

/** By ngx_http_upstream_module and the README of nginx-upsync-module; `down` is an intent here. */
const nginx: Words = [
  ["upstream", "pools"],
  ["upstreams", "pools"],
  ["backends", "pools", "targets"],
  ["server", "targets", "endpoints", "servers"],
  ["servers", "targets", "endpoints"],
  ["max_conns", "maxConnections"],
  ["down", "intent"],
  ["check", "healthCheck"],
  ["keepalive", "idleConnections"],
  ["keepalive_timeout", "idleTimeout"],
  ["upsync", "source"],
  ["upsync_type", "type"],
  ["upsync_lb", "balance"],
  ["upsync_timeout", "requestTimeout"],
  ["upsync_dump_path", "dump"],
  ["dump_path", "dump"],
  ["strong_dependency", "required"],
  ["resolver", "servers"],
  ["resolver_timeout", "requestTimeout"],
  ["valid", "refresh"],
];

/** By the HTTP API, agent and command line of Consul, etcdctl(1) and what consul-template calls the same. */
const stores: Words = [
  ["dc", "datacenter"],
  ["token", "tokenFile"],
  ["acl_token", "tokenFile"],
  ["token_file", "tokenFile"],
  ["password", "passwordFile"],
  ["username", "user"],
  ["address", "endpoints"],
  ["addresses", "endpoints"],
  ["addr", "endpoints"],
  ["http_addr", "endpoints"],
  ["host", "endpoints", "name"],
  ["hosts", "endpoints"],
  ["url", "endpoints"],
  ["urls", "endpoints"],
  ["key_prefix", "prefix"],
  ["key", "prefix"],
  ["path", "prefix"],
  ["tag", "tags"],
  ["passing", "health"],
  ["passing_only", "health"],
  ["ssl", "tls"],
  ["cacert", "ca"],
  ["ca_cert", "ca"],
  ["ca_file", "ca"],
  ["cert", "certificate"],
  ["cert_file", "certificate"],
  ["client_cert", "certificate"],
  ["key_file", "key"],
  ["client_key", "key"],
  ["insecure", "verify"],
  ["insecure_skip_verify", "verify"],
  ["insecure_skip_tls_verify", "verify"],
  ["tls_server_name", "serverName"],
  ["sni", "serverName"],
  ["min", "least", "first"],
  ["max", "most"],
  ["hostname", "name"],
  ["domain", "name"],
  ["nameservers", "servers"],
  ["ttl", "refresh"],
];

/** All of a word's keys, in the order in which they are looked for. */
const words: ReadonlyMap<string, readonly string[]> = joined([keepalived, nginx, stores]);

function joined(lists: readonly Words[]): Map<string, readonly string[]> {
  const map = new Map<string, readonly string[]>();
  for (const [word, ...ours] of lists.flat()) map.set(word, [...(map.get(word) ?? []), ...ours]);
  return map;
}

/** The key among `known` that stands for another program's word; undefined when the word is none, or has no key here. */
export function ourWord(word: string, known: readonly string[]): string | undefined {
  return words.get(word.toLowerCase())?.find((ours) => known.includes(ours));
}
