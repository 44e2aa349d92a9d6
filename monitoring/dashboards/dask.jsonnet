// Who holds what of Dask, what they do with it, and which cluster is idle.
local c = import 'common.libsonnet';
local is = '{cluster="$cluster", user=~"$user"}';
// Cores that were held at the most while those were used that a rate over $__rate_interval counts: of those held at its end alone,
// who gives workers back would use more than all. The minute more is there because both figures are some seconds old when they are
// read, each by another source's clock: by the one a worker may be gone, by the other it still computes.
local held = 'max by (user) (max_over_time(max_over_time(caas_dask_user_cores%s[1m])[$__rate_interval:15s]))' % is;

c.dashboard('dask', 'CaaS / Dask', 'Who holds what of Dask, and which Dask cluster is idle?', [
  c.row('Which Dask cluster is idle?', [
    c.stat('Dask clusters', 'That run now.', [c.over('count(caas_dask_cluster_workers%s) or vector(0)' % is)], graph=true, width=3),
    c.stat('Idle for ten minutes', 'They hold cores and memory and compute nothing. The gateway closes them after dask.idle_minutes of the form.', [c.now('count(caas_dask_cluster_idle_seconds%s > 600) or vector(0)' % is)], steps=[['green'], ['orange', 1]]),
    c.stat('Workers', '', [c.over('sum(caas_dask_cluster_workers%s) or vector(0)' % is)], graph=true, width=3),
    c.stat('Cores held', '', [c.over('sum(caas_dask_cluster_cores%s) or vector(0)' % is)], graph=true, decimals=1, width=3),
    c.stat('Memory held', '', [c.over('sum(caas_dask_cluster_memory_bytes%s) or vector(0)' % is)], unit='bytes', graph=true, width=3),
    c.stat('Most cores of a user', 'dask.max of the form.', [
      c.now('caas_dask_max_cores{cluster="$cluster"}', 'cores'),
    ], decimals=1),
    c.stat('Most memory of a user', 'dask.max of the form.', [c.now('caas_dask_max_memory_bytes{cluster="$cluster"}', 'memory')], unit='bytes'),
    c.table('Dask clusters', 'The idle ones first. Which one it is, its owner sees in JupyterLab.', [['user', 'User'], ['dask_cluster', 'Dask cluster']], [
      c.column('Idle for', 'max by (user, dask_cluster) (caas_dask_cluster_idle_seconds%s)' % is, 's', 0, [['green'], ['orange', 600], ['red', 3600]]),
      c.column('Workers', 'max by (user, dask_cluster) (caas_dask_cluster_workers%s)' % is),
      c.column('Cores held', 'max by (user, dask_cluster) (caas_dask_cluster_cores%s)' % is, 'short', 1),
      c.column('Memory held', 'max by (user, dask_cluster) (caas_dask_cluster_memory_bytes%s)' % is, 'bytes'),
      c.column('Clients', 'max by (user, dask_cluster) (dask_scheduler_clients%s)' % is),
      c.column('Up for', 'max by (user, dask_cluster) (time() - caas_dask_cluster_started_timestamp_seconds%s)' % is, 's', 0),
      c.column('Fullest worker', 'max by (user, dask_cluster) (caas_dask_worker_memory_fullest_ratio%s)' % is, 'percentunit', 0, [['green'], ['orange', 0.7], ['red', 0.95]]),
      c.column('Spilled', 'max by (user, dask_cluster) (dask_worker_memory_bytes{cluster="$cluster", user=~"$user", type="spilled"})', 'bytes'),
      c.column('Answers', 'max by (user, dask_cluster) (caas_dask_scheduler_up%s)' % is, 'short', null, [['red'], ['green', 1]], c.yes_or_no),
    ], sort='Idle for'),
  ]),
  c.row('Who holds what?', [
    c.bars('Of the cores a user may hold', 'At 100 % no further worker comes.', [c.now('max by (user) (caas_dask_user_cores%s / on (cluster) group_left caas_dask_max_cores{cluster="$cluster"})' % is, '{{user}}')], name='user', max=1),
    c.bars('Of the memory a user may hold', 'At 100 % no further worker comes.', [c.now('max by (user) (caas_dask_user_memory_bytes%s / on (cluster) group_left caas_dask_max_memory_bytes{cluster="$cluster"})' % is, '{{user}}')], name='user', max=1),
    c.lines('Cores held', '', [c.over('sum by (user) (caas_dask_user_cores%s)' % is, '{{user}}')], stacked=true),
    c.lines('Memory held', '', [c.over('sum by (user) (caas_dask_user_memory_bytes%s)' % is, '{{user}}')], unit='bytes', stacked=true),
    c.lines('Dask clusters', '', [c.over('sum by (user) (caas_dask_user_clusters%s)' % is, '{{user}}')], stacked=true, decimals=0),
    c.lines('Workers', '', [c.over('sum by (user, dask_cluster) (caas_dask_cluster_workers%s)' % is, '{{user}} {{dask_cluster}}')], stacked=true, decimals=0, below=true),
  ]),
  c.row('What do they do with it?', [
    c.lines(
      'Cores in use, of those held', 'Of the most that were held in the time that a point stands for, and the minute before. Near nothing for long: fewer workers would do, or something else is what is waited for.', [
        c.over('sum by (user) (rate(caas_user_cpu_seconds_total{cluster="$cluster", user=~"$user", kind="dask"}[$__rate_interval])) / (%s > 0)' % held, '{{user}}'),
      ], unit='percentunit'
    ),
    c.lines(
      'Memory in use, of that held', 'Near all of it: workers are about to spill to disk, to pause, and to be killed.', [
        c.over('sum by (user) (caas_user_memory_bytes{cluster="$cluster", user=~"$user", kind="dask"}) / (sum by (user) (caas_dask_user_memory_bytes%s) > 0)' % is, '{{user}}'),
      ], unit='percentunit', steps=[['transparent'], ['red', 0.95]]
    ),
    c.lines('Tasks by state', 'As the schedulers say.', [c.over('sum by (state) (dask_scheduler_tasks%s)' % is, '{{state}}')], stacked=true),
    c.lines('Workers by state', 'As the schedulers say; saturated ones have more to do than they can.', [c.over('sum by (state) (dask_scheduler_workers%s)' % is, '{{state}}')], stacked=true),
    c.lines('Workers wanted', 'What the schedulers could use for what there is to do, and what they have.', [
      c.over('sum(dask_scheduler_desired_workers%s)' % is, 'wanted'),
      c.over('sum(caas_dask_cluster_workers%s)' % is, 'there'),
    ]),
    c.lines('Where the time goes', 'Seconds of workers, each second: computing, and moving data between workers.', [
      c.over('sum(rate(dask_scheduler_tasks_compute_seconds_total%s[$__rate_interval]))' % is, 'computing'),
      c.over('sum(rate(dask_scheduler_tasks_transfer_seconds_total%s[$__rate_interval]))' % is, 'moving data'),
    ], unit='s'),
    c.events('Workers that come and leave', 'Many of both: they are killed or lost, or a cluster that adapts does so too often. With six hours shown, a bar is ten minutes.', [
      c.over('sum(increase(dask_scheduler_workers_added_total%s[$__rate_interval]))' % is, 'come'),
      c.over('sum(increase(dask_scheduler_workers_removed_total%s[$__rate_interval]))' % is, 'leave'),
    ], width=8),
    c.lines('Tasks done with', 'Their results are not wanted any more.', [c.over('sum by (user) (rate(dask_scheduler_tasks_forgotten_total%s[$__rate_interval]))' % is, '{{user}}')], unit='ops', width=8),
    c.lines('Results held', 'By the word of the schedulers. What nobody needs any more its owner lets go with del or cancel.', [c.over('sum by (user) (dask_scheduler_tasks_output_bytes%s)' % is, '{{user}}')], unit='bytes', width=8, stacked=true),
  ]),
  c.row('How are their workers?', [
    c.lines('Memory of workers', 'Managed: results. Unmanaged: all else, also what leaks. Spilled: results that went to disk.', [
      c.over('sum by (type) (dask_worker_memory_bytes%s)' % is, '{{type}}'),
      c.over('sum(caas_dask_worker_memory_limit_bytes%s)' % is, 'limit'),
    ], unit='bytes'),
    c.lines(
      'Fullest worker, of its limit', 'At 70 % it spills results to disk, at 80 % it starts no more tasks, at 95 % it is ended.', [
        c.over('max by (user, dask_cluster) (caas_dask_worker_memory_fullest_ratio%s)' % is, '{{user}} {{dask_cluster}}'),
      ], unit='percentunit', steps=[['transparent'], ['red', 0.95]], below=true
    ),
    c.lines('Spilled to disk', 'Written for want of memory, and read again.', [
      c.over('sum by (user, activity) (rate(dask_worker_spill_bytes_total%s[$__rate_interval]))' % is, '{{user}} {{activity}}'),
    ], unit='Bps'),
    c.lines('Moved between workers', '', [
      c.over('sum by (user) (rate(dask_worker_transfer_outgoing_bytes_total%s[$__rate_interval]))' % is, '{{user}}'),
    ], unit='Bps', stacked=true),
    c.lines('Busy threads', 'Tasks that are executed, and the threads that there are for them.', [
      c.over('sum(dask_worker_tasks{cluster="$cluster", user=~"$user", state="executing"})', 'busy'),
      c.over('sum(dask_worker_threads%s)' % is, 'there'),
    ], decimals=0),
    c.lines('Tasks at workers by state', 'Of memory, disk: results that they hold.', [c.over('sum by (state) (dask_worker_tasks%s)' % is, '{{state}}')], stacked=true),
    c.lines('Event loop stands still', 'The longest time of the last half minute, of the worst worker. Seconds: a task does not let others run (it holds the GIL), or the machine is too busy.', [
      c.over('max by (user, dask_cluster) (dask_worker_tick_duration_maximum_seconds%s)' % is, '{{user}} {{dask_cluster}}'),
    ], unit='s', below=true),
    c.lines('Heartbeats take', 'There and back, of the worst worker. All of them long: the scheduler is busy.', [
      c.over('max by (user, dask_cluster) (dask_worker_latency_seconds%s)' % is, '{{user}} {{dask_cluster}}'),
    ], unit='s', below=true),
  ]),
], variables=[c.user], annotations=[c.killed])
