// Signing in: who is let in, who is not and why, and whether the directory is slow.
local c = import 'common.libsonnet';
// Of nothing it is NaN, and neither to be drawn nor to be the last figure.
local quantile(q) = 'histogram_quantile(%s, sum by (le, operation) (rate(caas_directory_request_duration_seconds_bucket{cluster="$cluster"}[$__rate_interval]))) >= 0' % q;

c.dashboard('identity', 'CaaS / Identity and sign-ins', 'Who is let in, who is not and why; is the directory slow?', [
  c.row('Is the directory slow?', [
    c.stat('Directory', 'Whether it answered the exporter last time.', [c.now('caas_directory_up{cluster="$cluster"}')], steps=[['red'], ['green', 1]], mappings=c.up_or_down),
    c.stat('Search takes', "The exporter's search for the two groups.", [c.over('caas_directory_search_duration_seconds{cluster="$cluster"}')], unit='s', steps=[['green'], ['orange', 0.5], ['red', 2]], graph=true),
    c.stat('Not answered', 'Requests of the hub that the directory did not answer, in the time shown.', [c.now('sum(increase(caas_directory_requests_failed_total{cluster="$cluster"}[$__range]))')], decimals=0, steps=[['green'], ['red', 0.5]]),
    c.stat('Users', 'Who is in the group of users, directly or through other groups.', [c.now('sum(caas_group_members{cluster="$cluster", group="users"})')]),
    c.stat('Admins', 'Who is in the group of admins, directly or through other groups.', [c.now('sum(caas_group_members{cluster="$cluster", group="admins"})')]),
    c.stat('Certificate expires in', 'The certificate that expires first (dashboard Provisioner).', [c.now('min(caas_certificate_expiry_timestamp_seconds{cluster="$cluster"}) - time()')], unit='s', steps=[['red'], ['orange', 3 * 86400], ['green', 14 * 86400]]),
    c.lines('Half of the requests take at most', 'Of the hub to the directory, by what was asked: search (looking somebody up), groups (whether they are in), password (signing in).', [c.over(quantile('0.5'), '{{operation}}')], unit='s', width=8),
    c.lines('95 of 100 take at most', '', [c.over(quantile('0.95'), '{{operation}}')], unit='s', width=8),
    c.lines('As the exporter sees it', 'One search for the groups each time; a gap is a time in which there was no answer.', [c.over('caas_directory_search_duration_seconds{cluster="$cluster"}', 'search')], unit='s', width=8),
    c.lines('Requests a minute', 'Of the hub to the directory.', [c.over('60 * sum by (operation) (rate(caas_directory_request_duration_seconds_count{cluster="$cluster"}[$__rate_interval]))', '{{operation}}')], stacked=true),
    c.events('Requests not answered', 'Requests that got no answer: the directory was away, or too slow.', [c.over('sum by (operation) (increase(caas_directory_requests_failed_total{cluster="$cluster"}[$__rate_interval]))', '{{operation}}')], most=72),
  ]),
  c.row('Who is let in, who is not, and why?', [
    c.events('Sign-ins', 'How attempts ended. With six hours shown, a bar is ten minutes.', [c.over('sum by (outcome) (increase(caas_sign_ins_total{cluster="$cluster"}[$__rate_interval]))', '{{outcome}}')], width=16),
    c.table('In the time shown', 'The outcomes are explained in docs/MONITORING.md.', [['outcome', 'Outcome']], [
      c.column('Attempts', 'sum by (outcome) (increase(caas_sign_ins_total{cluster="$cluster"}[$__range])) > 0', 'short', 0),
    ], sort='Attempts', width=8, height=8),
    c.lines('Members of the groups', '', [c.over('max by (group) (caas_group_members{cluster="$cluster"})', '{{group}}')], decimals=0),
    c.table('Who is in', 'Of the two groups, directly or through other groups.', [['user', 'User'], ['group', 'Group']], [
      c.column('Member', 'max by (user, group) (caas_user_group_info{cluster="$cluster"})'),
    ], width=12, height=8, hide=['Value']),
  ]),
])
