// The homes and the disk that holds them: when is it full, and who fills it.
local c = import 'common.libsonnet';
local is = '{cluster="$cluster"}';
local free = 'caas_homes_free_bytes' + is;
local parts = '{cluster="$cluster", persistentvolumeclaim!~"claim-.*"}';
local homes = '{cluster="$cluster", persistentvolumeclaim=~"claim-.*"}';
local taken = 'caas_homes_images_bytes' + is;

c.dashboard('storage', 'CaaS / Storage', 'When is the disk full, and who fills it?', [
  c.row('When is the disk full?', [
    c.stat('Full in', c.full_in_words, [c.now(c.full_in)], unit='s', steps=[['red'], ['orange', 3 * 86400], ['green', 14 * 86400]]),
    c.stat('Free', 'Of the disk that holds the homes.', [c.over(free)], unit='bytes', graph=true),
    c.stat('Taken by homes', 'What the images of the homes really take: they are sparse files.', [c.over(taken)], unit='bytes', graph=true),
    c.stat('Promised', 'All homes, were each filled to its size.', [c.now('sum(caas_home_size_bytes%s)' % is)], unit='bytes'),
    c.stat('Promised, of the disk', 'Above 100 %, the disk can be full before the homes are.', [c.now('sum(caas_home_size_bytes%s) / sum(%s + %s)' % [is, taken, free])], unit='percentunit', steps=[['green'], ['orange', 1], ['red', 2]], decimals=0),
    c.stat('Homes', 'Of everybody who ever had a server.', [c.now('count(caas_home_used_bytes%s) or vector(0)' % is)]),
    c.lines('Disk of the homes', 'Dashed: free space a week later, if it goes on as in the last day.', [
      c.over(free, 'free'),
      c.over(taken, 'taken by homes'),
      c.over('clamp_min(predict_linear(%s[1d], 7 * 86400), 0) and %s offset 1h' % [free, free], 'free in a week'),
    ], unit='bytes', width=8) { fieldConfig+: { overrides: [{
      matcher: { id: 'byName', options: 'free in a week' },
      properties: [{ id: 'custom.lineStyle', value: { fill: 'dash', dash: [10, 10] } }],
    }] } },
    c.lines('File systems of the host', 'How full each is.', [
      c.over('max by (mountpoint) (1 - node_filesystem_avail_bytes' + c.disks + ' / node_filesystem_size_bytes' + c.disks + ')', '{{mountpoint}}'),
    ], unit='percentunit', max=1, width=8, steps=[['transparent'], ['red', 0.95]]),
    c.lines('Volumes of Kubernetes', 'How full each claim is. Homes: the fullest; where they are folders of one volume, that. On a host the disk that the hub lies on.', [
      c.over('max by (persistentvolumeclaim) (1 - kubelet_volume_stats_available_bytes' + parts + ' / kubelet_volume_stats_capacity_bytes' + parts + ')', '{{persistentvolumeclaim}}'),
      c.over('max(1 - kubelet_volume_stats_available_bytes' + homes + ' / kubelet_volume_stats_capacity_bytes' + homes + ')', 'homes'),
    ], unit='percentunit', max=1, width=8, steps=[['transparent'], ['red', 0.95]]),
  ]),
  c.row('Who fills it?', [
    c.bars('Homes by how full they are', 'At 100 % notebooks cannot be saved. The size is notebook.storage of the form; it can be raised while homes are in use.', [c.now('topk(15, max by (user) (caas_home_used_bytes%s / caas_home_size_bytes%s))' % [is, is], '{{user}}')], name='user', max=1, height=10),
    c.table('Homes', 'Full in: if it goes on as in the last six hours; nothing where it does not grow, or not within a year.', [['user', 'User']], [
      c.column('Used', 'max by (user) (caas_home_used_bytes%s)' % is, 'bytes'),
      c.column('Size', 'max by (user) (caas_home_size_bytes%s)' % is, 'bytes'),
      c.column('Grown in a day', 'max by (user) (delta(caas_home_used_bytes%s[1d]))' % is, 'bytes'),
      c.column('Full in', 'max by (user) ((caas_home_size_bytes%s - caas_home_used_bytes%s) / (deriv(caas_home_used_bytes%s[6h]) > 1) < 31536000)' % [is, is, is], 's', 0, [['red'], ['orange', 86400], ['green', 7 * 86400]]),
    ], sort='Used', width=12, height=10),
    c.lines('Used by each home', '', [c.over('topk(15, max by (user) (caas_home_used_bytes%s))' % is, '{{user}}')], unit='bytes'),
    c.lines('Growth', 'How fast each home grows.', [c.over('topk(15, max by (user) (deriv(caas_home_used_bytes%s[30m])))' % is, '{{user}}')], unit='Bps', min=null),
  ]),
  c.row('Is the disk slow?', [
    c.lines('How busy', 'The part of the time in which a disk had something to do.', [c.over('sum by (node, device) (rate(node_disk_io_time_seconds_total{cluster="$cluster", device!~"loop.*|ram.*"}[$__rate_interval]))', '{{node}} {{device}}')], unit='percentunit', max=1),
    c.lines('Read and written', '', [
      c.over('sum by (node, device) (rate(node_disk_read_bytes_total{cluster="$cluster", device!~"loop.*|ram.*"}[$__rate_interval]))', '{{node}} {{device}} read'),
      c.over('sum by (node, device) (rate(node_disk_written_bytes_total{cluster="$cluster", device!~"loop.*|ram.*"}[$__rate_interval]))', '{{node}} {{device}} written'),
    ], unit='Bps'),
  ]),
])
