// How many more users fit, and what of the host is short.
local c = import 'common.libsonnet';
local is = '{cluster="$cluster"}';
// The notebook's size: the largest that anybody had in the last week, so that it is known on a quiet day as well.
local ram = 'max(max_over_time(caas_user_memory_limit_bytes{cluster="$cluster", kind="notebook"}[7d]) > 0)';
local home = 'max(max_over_time(caas_home_size_bytes{cluster="$cluster"}[7d]))';
local available = 'sum(node_memory_MemAvailable_bytes' + is + ')';
local cpus = 'count(count by (cpu, instance) (node_cpu_seconds_total{cluster="$cluster", mode="idle"}))';
local idle = 'sum(rate(node_cpu_seconds_total{cluster="$cluster", mode="idle"}[$__rate_interval]))';

c.dashboard('host', 'CaaS / Host capacity', 'How many more users fit?', [
  c.row('How many more users fit?', [
    c.stat('If each fills their memory', 'Memory that is free now, over the largest notebook of the last week: so many more may come without any risk.', [c.over('floor(%s / %s)' % [available, ram])], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('If each uses what others use', 'Memory that is free now, over what 90 of 100 notebooks of now use at most.', [c.over('floor(%s / quantile(0.9, caas_user_memory_bytes{cluster="$cluster", kind="notebook"}))' % available)], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('By CPU, as others use it', 'Idle CPUs, over what a notebook of now uses on average (at least a twentieth of a CPU). CPU is shared: beyond it everybody is slower, and nobody is killed.', [c.over('floor(%s / clamp_min(avg(rate(caas_user_cpu_seconds_total{cluster="$cluster", kind="notebook"}[$__rate_interval])), 0.05))' % idle)], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('By disk, if homes fill up', 'Disk that is free now, over the size of a home.', [c.over('floor(sum(caas_homes_free_bytes%s) / %s)' % [is, home])], steps=[['red'], ['orange', 2], ['green', 5]], width=5, graph=true),
    c.stat('Servers now', '', [c.over('caas_hub_servers' + is)], graph=true),
  ]),
  c.row('What was promised?', [
    c.stat('Memory promised to notebooks', 'All limits of the servers that run, of the memory of the host. Above 100 % not all can fill theirs at once.', [c.over('sum(caas_user_memory_limit_bytes{cluster="$cluster", kind="notebook"}) / sum(node_memory_MemTotal_bytes%s)' % is)], unit='percentunit', decimals=0, steps=[['green'], ['orange', 1], ['red', 2]], width=6, graph=true),
    c.stat('Memory held by Dask', 'Of the memory of the host.', [c.over('(sum(caas_dask_cluster_memory_bytes%s) or vector(0)) / sum(node_memory_MemTotal_bytes%s)' % [is, is])], unit='percentunit', decimals=0, steps=[['green'], ['orange', 0.5], ['red', 0.8]], width=6, graph=true),
    c.stat('Cores held by Dask', 'Of the CPUs of the host.', [c.over('(sum(caas_dask_cluster_cores%s) or vector(0)) / %s' % [is, cpus])], unit='percentunit', decimals=0, steps=[['green'], ['orange', 1], ['red', 2]], width=6, graph=true),
    c.stat('CPUs', 'Of the host.', [c.now(cpus)], width=3),
    c.stat('Memory', 'Of the host.', [c.now('sum(node_memory_MemTotal_bytes%s)' % is)], unit='bytes', width=3),
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
      c.over('node_load1' + is, '1 minute'),
      c.over('node_load15' + is, '15 minutes'),
      c.over(cpus, 'CPUs'),
    ]),
    c.lines('Network', '', [
      c.over('sum by (device) (rate(node_network_receive_bytes_total{cluster="$cluster", device!~"lo|veth.*"}[$__rate_interval]))', '{{device}} in'),
      c.over('sum by (device) (rate(node_network_transmit_bytes_total{cluster="$cluster", device!~"lo|veth.*"}[$__rate_interval]))', '{{device}} out'),
    ], unit='Bps'),
    c.lines('Requests a minute', 'That come in, by the proxy.', [
      c.over('60 * sum(rate(requests_web{cluster="$cluster", job="proxy"}[$__rate_interval]))', 'requests'),
      c.over('60 * sum(rate(requests_ws{cluster="$cluster", job="proxy"}[$__rate_interval]))', 'web sockets'),
    ]),
    c.lines('Answers of the hub, a minute', 'By status; 500 and above are faults.', [c.over('60 * sum by (code) (rate(jupyterhub_request_duration_seconds_count{cluster="$cluster"}[$__rate_interval]))', '{{code}}')], stacked=true),
  ]),
], annotations=[c.killed])
