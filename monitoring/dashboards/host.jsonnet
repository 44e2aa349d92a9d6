// How many more users fit, and what of the host is short, or of the nodes: what a host is here, on Kubernetes each node is.
local c = import 'common.libsonnet';
local is = '{cluster="$cluster"}';
// The notebook's size: the largest that anybody had in the last week, so that it is known on a quiet day as well.
local ram = 'max(max_over_time(caas_user_memory_limit_bytes{cluster="$cluster", kind="notebook"}[7d]) > 0)';
local home = 'max(max_over_time(caas_home_size_bytes{cluster="$cluster"}[7d]))';
local available = 'sum(node_memory_MemAvailable_bytes' + is + ')';
local memory_used = 'max by (node) (1 - node_memory_MemAvailable_bytes%s / node_memory_MemTotal_bytes%s)' % [is, is];
local cpu_used = 'avg by (node) (1 - rate(node_cpu_seconds_total{cluster="$cluster", mode="idle"}[$__rate_interval]))';
// What is left on one machine is of no use on another: a server is on one.
local fit(memory) = 'sum(floor(node_memory_MemAvailable_bytes%s / on () group_left () %s))' % [is, memory];
local cpus = 'count(count by (cpu, instance) (node_cpu_seconds_total{cluster="$cluster", mode="idle"}))';
local idle = 'sum(rate(node_cpu_seconds_total{cluster="$cluster", mode="idle"}[$__rate_interval]))';

c.dashboard('host', 'CaaS / Host capacity', 'How many more users fit?', [
  c.row('How many more users fit?', [
    c.stat('If each fills their memory', 'Memory that is free now, over the largest notebook of the last week, on each machine for itself: so many more may come without any risk. On Kubernetes its scheduler has the last word: it goes by what is promised, also to pods that are not ours.', [c.over(fit(ram))], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('If each uses what others use', 'Memory that is free now, over what 90 of 100 notebooks of now use at most.', [c.over(fit('quantile(0.9, caas_user_memory_bytes{cluster="$cluster", kind="notebook"})'))], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('By CPU, as others use it', 'Idle CPUs, over what a notebook of now uses on average (at least a twentieth of a CPU). CPU is shared: beyond it everybody is slower, and nobody is killed.', [c.over('floor(%s / clamp_min(avg(rate(caas_user_cpu_seconds_total{cluster="$cluster", kind="notebook"}[$__rate_interval])), 0.05))' % idle)], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('By disk, if homes fill up', 'Disk that is free now, over the size of a home.', [c.over('floor(sum(caas_homes_free_bytes%s) / %s)' % [is, home])], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('Servers now', '', [c.over('caas_hub_servers' + is)], graph=true),
  ]),
  c.row('What was promised?', [
    c.stat('Memory promised to notebooks', 'All limits of the servers that run, of the memory of the host, or of all nodes. Above 100 % not all can fill theirs at once.', [c.over('sum(caas_user_memory_limit_bytes{cluster="$cluster", kind="notebook"}) / sum(node_memory_MemTotal_bytes%s)' % is)], unit='percentunit', decimals=0, steps=[['green'], ['orange', 1], ['red', 2]], width=6, graph=true),
    c.stat('Memory held by Dask', 'Of the memory of the host, or of all nodes.', [c.over('(sum(caas_dask_cluster_memory_bytes%s) or vector(0)) / sum(node_memory_MemTotal_bytes%s)' % [is, is])], unit='percentunit', decimals=0, steps=[['green'], ['orange', 0.5], ['red', 0.8]], width=6, graph=true),
    c.stat('Cores held by Dask', 'Of the CPUs of the host, or of all nodes.', [c.over('(sum(caas_dask_cluster_cores%s) or vector(0)) / %s' % [is, cpus])], unit='percentunit', decimals=0, steps=[['green'], ['orange', 1], ['red', 2]], width=6, graph=true),
    c.stat('CPUs', 'Of the host, or of all nodes.', [c.now(cpus)], width=3),
    c.stat('Memory', 'Of the host, or of all nodes.', [c.now('sum(node_memory_MemTotal_bytes%s)' % is)], unit='bytes', width=3),
  ]),
  c.row('What is short?', [
    c.lines('Memory', 'What users use, what all else uses, and what is available.', [
      c.over('sum(caas_user_memory_bytes{cluster="$cluster", kind="notebook"}) or vector(0)', 'notebooks'),
      c.over('sum(caas_user_memory_bytes{cluster="$cluster", kind="dask"}) or vector(0)', 'Dask'),
      c.over('clamp_min(sum(node_memory_MemTotal_bytes%s) - %s - (sum(caas_user_memory_bytes%s) or vector(0)), 0)' % [is, available, is], 'all else'),
      c.over(available, 'available'),
    ], unit='bytes', stacked=true),
    c.lines('CPU', 'Of all CPUs, by what they do.', [
      c.over('sum by (mode) (rate(node_cpu_seconds_total{cluster="$cluster", mode!="idle"}[$__rate_interval])) / scalar(%s)' % cpus, '{{mode}}'),
    ], unit='percentunit', stacked=true, max=1),
    c.lines('Load', 'Processes that run or wait to run; above the number of CPUs everybody waits.', [
      c.over('sum(node_load1%s)' % is, '1 minute'),
      c.over('sum(node_load15%s)' % is, '15 minutes'),
      c.over(cpus, 'CPUs'),
    ]),
    c.lines('Network', 'Of a host; what nodes of Kubernetes send, no pod is told.', [
      c.over('sum by (device) (rate(node_network_receive_bytes_total{cluster="$cluster", device!~"lo|veth.*"}[$__rate_interval]))', '{{device}} in'),
      c.over('sum by (device) (rate(node_network_transmit_bytes_total{cluster="$cluster", device!~"lo|veth.*"}[$__rate_interval]))', '{{device}} out'),
    ], unit='Bps'),
    c.lines('Requests a minute', 'That come in, by the proxy.', [
      c.over('60 * sum(rate(requests_web{cluster="$cluster", job="proxy"}[$__rate_interval]))', 'requests'),
      c.over('60 * sum(rate(requests_ws{cluster="$cluster", job="proxy"}[$__rate_interval]))', 'web sockets'),
    ]),
    c.lines('Answers of the hub, a minute', 'By status; 500 and above are faults.', [c.over('60 * sum by (code) (rate(jupyterhub_request_duration_seconds_count{cluster="$cluster"}[$__rate_interval]))', '{{code}}')], stacked=true),
  ]),
  c.row('On which machine?', [
    c.table('Machines', 'The host; on Kubernetes each node that users may be on. Fit: free memory over the largest notebook of the last week.', [['node', 'Machine']], [
      c.column('Notebooks', 'count by (node) (container_memory_working_set_bytes{cluster="$cluster", container="notebook"})'),
      c.column('Fit', 'sum by (node) (floor(node_memory_MemAvailable_bytes%s / on () group_left () %s))' % [is, ram], 'short', 0, [['red'], ['orange', 1], ['green', 2]]),
      c.column('Memory', 'sum by (node) (node_memory_MemTotal_bytes%s)' % is, 'bytes'),
      c.column('Memory used', memory_used, 'percentunit', 0, [['green'], ['orange', 0.8], ['red', 0.92]]),
      c.column('CPUs', 'count by (node) (node_cpu_seconds_total{cluster="$cluster", mode="idle"})'),
      c.column('CPU used', cpu_used, 'percentunit', 0, [['green'], ['orange', 0.8], ['red', 0.95]]),
      c.column('Load', 'sum by (node) (node_load15%s)' % is, 'short', 1),
    ], sort='Memory used', height=8),
    c.lines('Memory used', 'By machine. Short of it, processes are ended, whoever they belong to.', [c.over(memory_used, '{{node}}')], unit='percentunit', max=1),
    c.lines('CPU used', 'By machine.', [c.over(cpu_used, '{{node}}')], unit='percentunit', max=1),
  ]),
], annotations=[c.killed])
