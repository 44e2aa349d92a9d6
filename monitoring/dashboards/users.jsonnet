// Who uses what, and why somebody's kernel was killed.
local c = import 'common.libsonnet';
local is = '{cluster="$cluster", user=~"$user"}';
local notebook = '{cluster="$cluster", user=~"$user", kind="notebook"}';
local dask = '{cluster="$cluster", user=~"$user", kind="dask"}';

c.dashboard('users', 'CaaS / Users', 'Who uses what, and why was a kernel killed?', [
  c.row('Who uses what?', [
    c.table('Everybody who has something running', "Memory and CPUs are those of the notebook server, as is how long it is up and idle; Dask is what all of a user's Dask clusters use together. Killed: for memory, in the time shown.", [['user', 'User']], [
      c.column('Memory', 'sum by (user) (caas_user_memory_bytes%s)' % notebook, 'bytes'),
      c.column('of limit', 'max by (user) (caas_user_memory_bytes%s / (caas_user_memory_limit_bytes%s > 0))' % [notebook, notebook], 'percentunit', 0, [['green'], ['orange', 0.8], ['red', 0.95]]),
      c.column('Dask memory', 'sum by (user) (caas_user_memory_bytes%s)' % dask, 'bytes'),
      c.column('CPUs', 'sum by (user) (rate(caas_user_cpu_seconds_total%s[5m]))' % notebook, 'short', 2),
      c.column('Dask CPUs', 'sum by (user) (rate(caas_user_cpu_seconds_total%s[5m]))' % dask, 'short', 2),
      c.column('Processes', 'sum by (user) (caas_user_processes%s)' % is),
      c.column('Home', 'max by (user) (caas_home_used_bytes%s / caas_home_size_bytes%s) and sum by (user) (caas_user_memory_bytes%s)' % [is, is, is], 'percentunit', 0, [['green'], ['orange', 0.8], ['red', 0.95]]),
      c.column('Killed', 'sum by (user) (increase(caas_user_oom_kills_total%s[$__range])) and sum by (user) (caas_user_memory_bytes%s)' % [is, is], 'short', 0, [['green'], ['red', 0.5]]),
      c.column('Up for', 'max by (user) (time() - caas_server_started_timestamp_seconds%s)' % is, 's', 0),
      c.column('Idle for', 'min by (user) (time() - caas_server_last_activity_timestamp_seconds%s)' % is, 's', 0),
      c.column('Ready', 'min by (user) (caas_server_ready%s)' % is, 'short', null, [['red'], ['green', 1]], c.yes_or_no),
    ], sort='Memory', height=10),
  ]),
  c.row('Who uses the memory?', [
    c.lines('Memory, notebooks', 'Working set: what cannot be given back. At the limit the kernel of the machine kills.', [c.over('sum by (user) (caas_user_memory_bytes%s)' % notebook, '{{user}}')], unit='bytes', stacked=true),
    c.lines('Memory, Dask', "All of a user's workers and schedulers together.", [c.over('sum by (user) (caas_user_memory_bytes%s)' % dask, '{{user}}')], unit='bytes', stacked=true),
    c.lines('CPUs, notebooks', 'CPUs in use.', [c.over('sum by (user) (rate(caas_user_cpu_seconds_total%s[$__rate_interval]))' % notebook, '{{user}}')], stacked=true),
    c.lines('CPUs, Dask', 'CPUs in use.', [c.over('sum by (user) (rate(caas_user_cpu_seconds_total%s[$__rate_interval]))' % dask, '{{user}}')], stacked=true),
  ]),
  c.row('Why was my kernel killed?', [
    c.text('How to read this', |||
      A kernel that is gone without a word of its own was most often killed because **notebook and kernels together reached the memory limit** of the server: a bar stands on the
      right at that moment. The line on the left has often come near 100 % before; a jump between two measurements (15 s) it does not show. Ask for a larger profile, or work on less at
      once (Dask). No bar at that time: the whole server ended (graph below: it was idle, too old, or an admin stopped it), or the code itself crashed; `caas logs CLUSTER hub` says which.
    |||, height=4),
    c.lines(
      'Memory against the limit',
      "Of the memory that the user's server, or all their Dask clusters, may use.",
      [c.over('max by (user, kind) (caas_user_memory_bytes%s / (caas_user_memory_limit_bytes%s > 0))' % [is, is], '{{user}}, {{kind}}')],
      unit='percentunit',
      max=1,
      steps=[['transparent'], ['red', 0.95]]
    ),
    c.events(
      'Killed for memory',
      "Processes that the machine's kernel killed because a limit was reached. With six hours shown, a bar is five minutes.",
      [c.over('sum by (user, kind) (increase(caas_user_oom_kills_total%s[$__rate_interval]))' % is, '{{user}}, {{kind}}')],
      most=72
    ),
    c.lines('Idle for', 'Since when nobody has used the server. Where it falls to nothing the server was used; where the line ends, it was stopped.', [c.over('time() - caas_server_last_activity_timestamp_seconds%s' % is, '{{user}} {{server}}')], unit='s'),
    c.lines('Processes', 'Processes and threads; there is a limit, and at it nothing new can be started.', [c.over('sum by (user, kind) (caas_user_processes%s)' % is, '{{user}}, {{kind}}')]),
    c.lines(
      'How full the home is',
      'A full home keeps notebooks from being saved, and servers from starting.',
      [c.over('max by (user) (caas_home_used_bytes%s / caas_home_size_bytes%s)' % [is, is], '{{user}}')],
      unit='percentunit',
      max=1,
      steps=[['transparent'], ['red', 0.95]]
    ),
    c.events(
      'Stopped servers',
      'Servers that ended, however it came to it. With six hours shown, a bar is ten minutes.',
      [c.over('sum by (status) (increase(jupyterhub_server_stop_seconds_count{cluster="$cluster"}[$__rate_interval]))', '{{status}}')]
    ),
  ]),
], variables=[c.user], annotations=[c.killed])
