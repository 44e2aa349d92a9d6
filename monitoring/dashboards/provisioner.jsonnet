// What caas did to the cluster and how it ended; certificates; and whether this monitoring is to be trusted.
local c = import 'common.libsonnet';
local is = '{cluster="$cluster"}';

c.dashboard('provisioner', 'CaaS / Provisioner', 'What was done to the cluster, do its certificates hold, and can these figures be trusted?', [
  c.row('What was done to it, and does it hold?', [
    c.stat('Last apply', 'How it ended.', [c.now('caas_run_last_success{cluster="$cluster", command="apply"}')], steps=[['red'], ['green', 1]], mappings=c.failed_or_fine),
    c.stat('How long ago', 'Since the end of the last apply.', [c.now('time() - caas_run_last_timestamp_seconds{cluster="$cluster", command="apply"}')], unit='s', decimals=0),
    c.stat('It took', 'From its beginning to its end.', [c.now('caas_run_last_duration_seconds{cluster="$cluster", command="apply"}')], unit='s'),
    c.stat('Changed by others', 'What the last apply found that was not as the one before had left it, and put back. Which: caas history CLUSTER --steps.', [c.now('caas_drift_resources' + is)], decimals=0, steps=[['green'], ['orange', 1]]),
    c.stat('Last backup', 'How long ago the last good one ended, where the form names what makes backups (monitoring.backup_stamp, monitoring.backup_cronjob).', [
      c.now('time() - (caas_backup_last_success_timestamp_seconds%s > 0) or caas_backup_last_success_timestamp_seconds%s - 1' % [is, is]),
    ], unit='s', steps=[['red'], ['green', 0], ['orange', 36 * 3600], ['red', 48 * 3600]], mappings=c.never + c.not_known),
    c.stat('Version', 'Of caas-exporter, and with it of caas.', [c.now('caas_exporter_build_info' + is, '{{version}}')]) {
      options+: { textMode: 'name' },
    },
    c.table('Last runs', 'The last of each command; all of them: `caas history CLUSTER`.', [['command', 'Command']], [
      c.column('Ago', 'max by (command) (time() - caas_run_last_timestamp_seconds%s)' % is, 's', 0),
      c.column('Took', 'max by (command) (caas_run_last_duration_seconds%s)' % is, 's', 1),
      c.column('Fine', 'max by (command) (caas_run_last_success%s)' % is, 'short', null, [['red'], ['green', 1]], c.yes_or_no),
    ], sort=null, width=12, height=7),
    c.stat('Certificates expire in', 'Of some, caas makes new ones in time (docs/RUNBOOK.md, CertificateExpiring).', [c.now('sort(min by (certificate) (caas_certificate_expiry_timestamp_seconds%s) - time())' % is, '{{certificate}}')], unit='s', steps=[['red'], ['orange', 3 * 86400], ['green', 14 * 86400]], width=12, height=7),
    c.states('Parts', 'Whether each answered.', [c.over('caas_part_up' + is, '{{part}}')], c.up_or_down),
  ]),
  c.row('Can these figures be trusted?', [
    c.table('What the exporter reads', 'Where a source is not up, its figures are missing; none is ever invented.', [['source', 'Source']], [
      c.column('Up', 'min by (source) (caas_source_up%s or caas_kubelet_up%s)' % [is, is], 'short', null, [['red'], ['green', 1]], c.yes_or_no),
      c.column('Last read', 'min by (source) (time() - caas_source_last_success_timestamp_seconds%s)' % is, 's', 0, [['green'], ['red', 300]]),
      c.column('Takes', 'max by (source) (caas_source_duration_seconds%s)' % is, 's', 3),
      c.column('Left out', 'max by (source) (caas_samples_dropped%s)' % is, 'short', 0, [['green'], ['red', 1]]),
    ], width=12, height=11),
    c.table('What Prometheus reads', '', [['job', 'Job'], ['instance', 'Instance']], [
      c.column('Up', 'min by (job, instance) (up%s)' % is, 'short', null, [['red'], ['green', 1]], c.yes_or_no),
      c.column('Takes', 'max by (job, instance) (scrape_duration_seconds%s)' % is, 's', 3),
      c.column('Samples', 'max by (job, instance) (scrape_samples_scraped%s)' % is, 'short', 0),
    ], width=12, height=11),
    c.lines('How long each source takes', '', [c.over('caas_source_duration_seconds' + is, '{{source}}')], unit='s'),
    c.lines('Prometheus on disk', 'Its bounds are monitoring.retention_days and monitoring.retention_gb of the form.', [
      c.over('prometheus_tsdb_storage_blocks_bytes' + is, 'blocks'),
    ], unit='bytes'),
    c.lines('Series in hand', 'Of Prometheus; each is some kilobytes of its memory.', [c.over('prometheus_tsdb_head_series' + is, 'series')]),
    c.lines('What the parts use', 'Memory of the hub, the proxy, Prometheus and the exporters themselves.', [c.over('max by (job) (process_resident_memory_bytes{cluster="$cluster", job!~"dask_.*"})', '{{job}}')], unit='bytes'),
  ]),
])
