// For who is no administrator: their own figures. Every selector names them, which is what makes it theirs to ask
// (roles/monitoring/files/questions.py); the caps are everybody's.
local c = import 'common.libsonnet';
local is = '{cluster="$cluster", user="$me"}';
local of(kind) = '{cluster="$cluster", user="$me", kind="%s"}' % kind;
local red = [['green'], ['orange', 0.8], ['red', 0.95]];

c.dashboard('own', 'CaaS / My usage', 'What do I use, and how much is left of what I may?', [
  c.row('Now', [
    c.stat('Memory', "Of what your server may use. At 100 % the machine's kernel ends the largest process, mostly a notebook's kernel.", [c.now('max(caas_user_memory_bytes%s / (caas_user_memory_limit_bytes%s > 0))' % [of('notebook'), of('notebook')])], unit='percentunit', decimals=0, steps=red),
    c.stat('CPUs', 'In use by your server.', [c.now('sum(rate(caas_user_cpu_seconds_total%s[5m]))' % of('notebook'))], decimals=2),
    c.stat('Home', 'How full it is. A full home keeps notebooks from being saved, and servers from starting.', [c.now('max(caas_home_used_bytes%s / caas_home_size_bytes%s)' % [is, is])], unit='percentunit', decimals=0, steps=red),
    c.stat('Dask cores', 'Held by all of your Dask clusters, of the most that one person may have.', [c.now('(sum(caas_dask_user_cores%s) or vector(0)) / max(caas_dask_max_cores{cluster="$cluster"})' % is)], unit='percentunit', decimals=0, steps=red),
    c.stat('Dask memory', 'Held by all of your Dask clusters, of the most that one person may have.', [c.now('(sum(caas_dask_user_memory_bytes%s) or vector(0)) / max(caas_dask_max_memory_bytes{cluster="$cluster"})' % is)], unit='percentunit', decimals=0, steps=red),
    c.stat('Killed', 'Processes of yours that were ended because a memory limit was reached, in the time shown.', [c.now('sum(increase(caas_user_oom_kills_total%s[$__range])) or vector(0)' % is)], decimals=0, steps=[['green'], ['red', 0.5]]),
  ]),
  c.row('My server', [
    c.lines(
      'Memory against the limit',
      'Working set: what cannot be given back. At the limit the largest process is ended.',
      [c.over('max by (kind) (caas_user_memory_bytes%s / (caas_user_memory_limit_bytes%s > 0))' % [is, is], '{{kind}}')],
      unit='percentunit',
      max=1,
      steps=[['transparent'], ['red', 0.95]]
    ),
    c.events(
      'Killed for memory',
      'Ask for a larger profile, or work on less at once (Dask). With six hours shown, a bar is five minutes.',
      [c.over('sum by (kind) (increase(caas_user_oom_kills_total%s[$__rate_interval]))' % is, '{{kind}}')],
      most=72
    ),
    c.lines('Memory', 'Of your server, and of all your Dask clusters together.', [c.over('sum by (kind) (caas_user_memory_bytes%s)' % is, '{{kind}}')], unit='bytes', stacked=true),
    c.lines('CPUs', 'In use.', [c.over('sum by (kind) (rate(caas_user_cpu_seconds_total%s[$__rate_interval]))' % is, '{{kind}}')], stacked=true),
    c.lines(
      'How full the home is',
      'What you have stored, of what fits.',
      [c.over('max(caas_home_used_bytes%s / caas_home_size_bytes%s)' % [is, is], 'home')],
      unit='percentunit',
      max=1,
      steps=[['transparent'], ['red', 0.95]]
    ),
    c.lines('Idle for', 'Since when nobody has used the server; one that is idle for too long is stopped.', [c.over('max(time() - caas_server_last_activity_timestamp_seconds%s)' % is, 'server')], unit='s'),
  ]),
  c.row('My Dask clusters', [
    c.lines('Workers', 'That run or start.', [c.over('sum by (dask_cluster) (caas_dask_cluster_workers%s)' % is, '{{dask_cluster}}')], stacked=true, below=true),
    c.lines('Memory', 'That they hold against the cap, used or not.', [c.over('sum by (dask_cluster) (caas_dask_cluster_memory_bytes%s)' % is, '{{dask_cluster}}')], unit='bytes', stacked=true, below=true),
    c.lines('Idle for', "By their schedulers' word. One that has nothing to do holds what others could use.", [c.over('max by (dask_cluster) (caas_dask_cluster_idle_seconds%s)' % is, '{{dask_cluster}}')], unit='s', below=true),
    c.lines('Fullest worker', 'Memory of the worker that is nearest to its limit. From 70 % on it spills to disk, from 80 % on it pauses, at 95 % it is ended.', [c.over('max by (dask_cluster) (caas_dask_worker_memory_fullest_ratio%s)' % is, '{{dask_cluster}}')], unit='percentunit', max=1, steps=[['transparent'], ['red', 0.95]], below=true),
  ]),
], variables=[c.myself])
