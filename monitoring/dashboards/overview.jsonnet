// Is it well? Who is on, what is full, what is slow. Each answer leads on to the dashboard that has more of it.
local c = import 'common.libsonnet';

c.dashboard('overview', 'CaaS / Overview', 'Is the cluster well? Who is on, what is full, what is slow?', [
  c.row('Is it well?', [
    c.stat(
      'Parts',
      'Whether each part answers. What to do: docs/RUNBOOK.md, PartDown.',
      [c.now('caas_part_up{cluster="$cluster"}', '{{part}}')],
      steps=[['red'], ['green', 1]],
      mappings=c.up_or_down,
      width=11
    ),
    c.stat(
      'Directory',
      'Whether the directory answers the exporter. Without it nobody can sign in.',
      [c.now('caas_directory_up{cluster="$cluster"}')],
      steps=[['red'], ['green', 1]],
      mappings=c.up_or_down,
      width=3
    ),
    c.stat(
      'Alerts',
      'How many alerts are firing.',
      [c.now('count(ALERTS{cluster="$cluster", alertstate="firing"}) or vector(0)')],
      steps=[['green'], ['red', 1]],
      width=3
    ),
    c.stat(
      'Last apply',
      'How the last caas apply ended.',
      [c.now('caas_run_last_success{cluster="$cluster", command="apply"}')],
      steps=[['red'], ['green', 1]],
      mappings=c.failed_or_fine,
      width=3
    ),
    c.stat(
      'Certificate expires in',
      'The certificate that expires first.',
      [c.now('min(caas_certificate_expiry_timestamp_seconds{cluster="$cluster"}) - time()')],
      unit='s',
      steps=[['red'], ['orange', 3 * 86400], ['green', 14 * 86400]],
      width=4
    ),
    c.table(
      'Alerts that are firing',
      'What to do about each stands in docs/RUNBOOK.md.',
      [['alertname', 'Alert'], ['severity', 'Severity'], ['part', 'Part'], ['user', 'User'], ['kind', 'Kind'], ['certificate', 'Certificate'], ['job', 'Job']],
      [c.column('Firing', 'max by (alertname, severity, part, user, kind, certificate, job) (ALERTS{cluster="$cluster", alertstate="firing"})')],
      height=5,
      hide=['Value']
    ),
  ]),
  c.row('Who is on?', [
    c.stat('Servers', 'Notebook servers that run.', [c.over('caas_hub_servers{cluster="$cluster"}')], graph=true),
    c.stat('Users known', 'Everybody who has signed in at least once.', [c.now('caas_hub_users{cluster="$cluster"}')]),
    c.stat('Active in 24 hours', 'Users who did something in the last 24 hours, by the hub.', [c.now('jupyterhub_active_users{cluster="$cluster", period="24h"}')]),
    c.stat('Sign-ins in 24 hours', 'With a password, that were let in.', [c.now('sum(increase(caas_sign_ins_total{cluster="$cluster", outcome="success"}[24h]))')], decimals=0),
    c.stat('Dask clusters', 'Dask clusters that run.', [c.over('sum(caas_dask_user_clusters{cluster="$cluster"}) or vector(0)')], graph=true),
    c.stat('Dask cores held', 'Cores of all Dask clusters together, schedulers included.', [c.over('sum(caas_dask_user_cores{cluster="$cluster"}) or vector(0)')], graph=true, decimals=1),
  ]),
  c.row('What is full?', [
    c.bars(
      'How full', "Memory and disks of the host are everybody's; a home is one user's (dashboard Storage).", [
        c.now('max(1 - node_memory_MemAvailable_bytes{cluster="$cluster"} / node_memory_MemTotal_bytes{cluster="$cluster"})', 'Memory of the host, or of the fullest node'),
        c.now('max(1 - node_filesystem_avail_bytes' + c.disks + ' / node_filesystem_size_bytes' + c.disks + ')', 'Fullest disk of the host'),
        c.now('max(caas_home_used_bytes{cluster="$cluster"} / caas_home_size_bytes{cluster="$cluster"})', 'Fullest home'),
        c.now('max(caas_user_memory_bytes{cluster="$cluster"} / (caas_user_memory_limit_bytes{cluster="$cluster"} > 0))', 'User nearest to their memory limit'),
      ], max=1
    ),
    c.bars(
      'Who uses the memory?',
      'The ten who use most, notebook and Dask together.',
      [c.now('topk(10, sum by (user) (caas_user_memory_bytes{cluster="$cluster"}))', '{{user}}')],
      name='user',
      unit='bytes',
      steps=[['blue']],
      width=8
    ),
    c.stat(
      'Disk of homes full in',
      c.full_in_words,
      [c.now(c.full_in)],
      unit='s',
      steps=[['red'], ['orange', 3 * 86400], ['green', 14 * 86400]],
      width=4,
      height=8
    ),
  ]),
  c.row('What is slow?', [
    c.lines(
      'The directory',
      'What 95 of 100 requests of the hub to the directory took at most (dashboard Identity and sign-ins).',
      [c.over('histogram_quantile(0.95, sum by (le, operation) (rate(caas_directory_request_duration_seconds_bucket{cluster="$cluster"}[$__rate_interval]))) >= 0', '{{operation}}')],
      unit='s',
      width=8
    ),
    c.lines(
      'Starting a server', 'What half, and 95 of 100, of the starts took at most.', [
        c.over('histogram_quantile(0.5, sum by (le) (rate(jupyterhub_server_spawn_duration_seconds_bucket{cluster="$cluster", status="success"}[1h]))) >= 0', 'half'),
        c.over('histogram_quantile(0.95, sum by (le) (rate(jupyterhub_server_spawn_duration_seconds_bucket{cluster="$cluster", status="success"}[1h]))) >= 0', '95 of 100'),
      ], unit='s', width=8
    ),
    c.lines(
      'The hub', 'What half, and 95 of 100, of its answers took at most (without the progress pages, which stay open).', [
        c.over('histogram_quantile(0.5, sum by (le) (rate(jupyterhub_request_duration_seconds_bucket{cluster="$cluster", handler!~".*SpawnProgress.*"}[$__rate_interval]))) >= 0', 'half'),
        c.over('histogram_quantile(0.95, sum by (le) (rate(jupyterhub_request_duration_seconds_bucket{cluster="$cluster", handler!~".*SpawnProgress.*"}[$__rate_interval]))) >= 0', '95 of 100'),
      ], unit='s', width=8
    ),
    c.events(
      'Starts of servers',
      'How starts ended. With six hours shown, a bar is ten minutes.',
      [c.over('sum by (outcome) (increase(caas_spawns_total{cluster="$cluster"}[$__rate_interval]))', '{{outcome}}')]
    ),
    c.events(
      'Sign-ins',
      'How attempts to sign in ended. With six hours shown, a bar is ten minutes.',
      [c.over('sum by (outcome) (increase(caas_sign_ins_total{cluster="$cluster"}[$__rate_interval]))', '{{outcome}}')]
    ),
  ]),
], annotations=[c.killed])
