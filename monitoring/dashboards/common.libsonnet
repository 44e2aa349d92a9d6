// What all dashboards share: how a panel of each kind looks, and where it is put. A dashboard is a list of rows, a row a list
// of panels; places are worked out here, so that a panel can be put in or taken out without touching the others.
// Every query names $cluster: one Prometheus may watch several clusters.
local datasource = { type: 'prometheus', uid: '${datasource}' };
local columns = 24;

local thresholds(steps) = {
  mode: 'absolute',
  steps: [{ color: s[0], value: if std.length(s) > 1 then s[1] else null } for s in steps],
};

local target(query, index) = {
  datasource: datasource,
  refId: std.char(std.codepoint('A') + index),
  expr: query.expr,
  legendFormat: query.legend,
  instant: query.instant,
  range: !query.instant,
  format: query.format,
  editorMode: 'code',
};

local panel(type, title, description, queries, width, height, defaults, options) = {
  type: type,
  title: title,
  description: description,
  datasource: datasource,
  targets: std.mapWithIndex(function(i, q) target(q, i), queries),
  fieldConfig: { defaults: defaults, overrides: [] },
  options: options,
  gridPos: { w: width, h: height },
};

local reduced = { calcs: ['lastNotNull'], fields: '', values: false };

// The panels of one row, from the left to the right, and further below where the line is full.
local place(panels, top) = std.foldl(
  function(at, p)
    local w = p.gridPos.w, h = p.gridPos.h;
    local next = if at.x + w > columns then { x: 0, y: at.y + at.line, line: 0, done: at.done } else at;
    {
      x: next.x + w,
      y: next.y,
      line: std.max(next.line, h),
      done: next.done + [p { gridPos: { x: next.x, y: next.y, w: w, h: h } }],
    },
  panels,
  { x: 0, y: top, line: 0, done: [] }
);

local lay(rows) = std.foldl(
  function(at, r)
    local heading = {
      type: 'row',
      title: r.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y: at.y, w: columns, h: 1 },
    };
    local placed = place(r.panels, at.y + 1);
    { y: placed.y + placed.line, done: at.done + [heading] + placed.done },
  rows,
  { y: 0, done: [] }
).done;

{
  // A query: over the time shown, or (now) at its end only.
  over(expr, legend=''):: { expr: std.strReplace(std.stripChars(expr, ' \n'), '\n', ' '), legend: legend, instant: false, format: 'time_series' },
  now(expr, legend=''):: self.over(expr, legend) { instant: true },

  up_or_down:: [{
    type: 'value',
    options: { '0': { text: 'down', color: 'red', index: 0 }, '1': { text: 'up', color: 'green', index: 1 } },
  }],
  failed_or_fine:: [{
    type: 'value',
    options: { '0': { text: 'failed', color: 'red', index: 0 }, '1': { text: 'fine', color: 'green', index: 1 } },
  }],
  yes_or_no:: [{
    type: 'value',
    options: { '0': { text: 'no', color: 'red', index: 0 }, '1': { text: 'yes', color: 'green', index: 1 } },
  }],

  // Where little is red, no answer would be as red as none left.
  not_known:: [{ type: 'special', options: { match: 'null+nan', result: { text: 'not known', color: 'text', index: 1 } } }],
  never:: [{ type: 'value', options: { '-1': { text: 'never', color: 'red', index: 0 } } }],

  // One number, or one a series. `steps`: [colour], [colour, from], …
  stat(title, description, queries, unit='short', steps=[['green']], width=4, height=4, decimals=null, mappings=[], graph=false)::
    panel('stat', title, description, queries, width, height, {
      unit: unit,
      [if decimals != null then 'decimals']: decimals,
      mappings: if mappings == [] && steps[0][0] == 'red' then $.not_known else mappings,
      color: { mode: 'thresholds' },
      thresholds: thresholds(steps),
    }, {
      reduceOptions: reduced,
      orientation: 'auto',
      textMode: 'auto',
      colorMode: 'value',
      graphMode: if graph then 'area' else 'none',
      justifyMode: 'auto',
      showPercentChange: false,
      percentChangeColorMode: 'standard',
      wideLayout: true,
    }),

  lines(title, description, queries, unit='short', width=12, height=8, stacked=false, max=null, min=0, decimals=null, bars=false, steps=null, below=width < 12)::
    panel('timeseries', title, description, queries, width, height, {
      unit: unit,
      [if min != null then 'min']: min,
      [if max != null then 'max']: max,
      [if decimals != null then 'decimals']: decimals,
      color: { mode: 'palette-classic' },
      custom: {
        drawStyle: if bars then 'bars' else 'line',
        lineWidth: 1,
        fillOpacity: if bars then 80 else if stacked then 30 else 0,
        showPoints: 'never',
        spanNulls: false,
        stacking: { mode: if stacked then 'normal' else 'none', group: 'A' },
        [if steps != null then 'thresholdsStyle']: { mode: 'line' },
      },
      [if steps != null then 'thresholds']: thresholds(steps),
    }, {
      // Below, it takes of the height of the graph; in a narrow panel, or with long names, it would take the width.
      legend: {
        displayMode: 'table',
        placement: if below then 'bottom' else 'right',
        showLegend: true,
        calcs: ['lastNotNull', 'max'],
        sortBy: 'Last *',
        sortDesc: true,
      },
      tooltip: { mode: 'multi', sort: 'desc' },
    }),

  // How often something happened: so many bars, and none where nothing did. The expressions are of $__rate_interval, which is one
  // scrape longer than a bar: of windows that only touch, what happens between the last sample of one and the first of the next
  // would be in neither. (With a target's own interval, it would be four bars long.)
  events(title, description, queries, width=12, height=8, most=36)::
    self.lines(title, description, [q { expr: q.expr + ' > 0' } for q in queries], width=width, height=height, stacked=true, decimals=0, bars=true) {
      maxDataPoints: most,
    },

  // `name`: the label that each is called by; of one alone Grafana would leave out its legend.
  bars(title, description, queries, name=null, unit='percentunit', width=12, height=8, min=0, max=null, steps=[['green'], ['orange', 0.8], ['red', 0.95]])::
    panel('bargauge', title, description, queries, width, height, {
      [if name != null then 'displayName']: '${__field.labels.%s}' % name,
      unit: unit,
      min: min,
      [if max != null then 'max']: max,
      color: { mode: 'thresholds' },
      thresholds: thresholds(steps),
    }, {
      reduceOptions: reduced,
      orientation: 'horizontal',
      displayMode: 'basic',
      showUnfilled: true,
      valueMode: 'color',
      namePlacement: 'auto',
      sizing: 'auto',
      minVizWidth: 8,
      minVizHeight: 16,
      maxVizHeight: 300,
      legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: false },
    }),

  // When something was in which state: a strip for each series.
  states(title, description, queries, mappings, width=24, height=7)::
    panel('state-timeline', title, description, queries, width, height, {
      mappings: mappings,
      color: { mode: 'thresholds' },
      custom: { fillOpacity: 70, lineWidth: 0 },
      thresholds: thresholds([['red'], ['green', 1]]),
    }, {
      mergeValues: true,
      showValue: 'never',
      alignValue: 'left',
      rowHeight: 0.8,
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'single', sort: 'none' },
    }),

  // A line for each set of `labels` ([label, heading]), a column for each of `figures` (column()).
  column(heading, expr, unit='short', decimals=null, steps=null, mappings=[])::
    { heading: heading, expr: expr, unit: unit, decimals: decimals, steps: steps, mappings: mappings },
  table(title, description, labels, figures, sort=null, width=24, height=9, hide=[])::
    local value(i) = if std.length(figures) == 1 then 'Value' else 'Value #' + std.char(std.codepoint('A') + i);
    local shown = [l[0] for l in labels];
    panel('table', title, description, [$.now(f.expr) { format: 'table' } for f in figures], width, height, {
      custom: { align: 'auto', filterable: true, minWidth: 70 },
    }, {
      showHeader: true,
      cellHeight: 'sm',
      frameIndex: 0,
      sortBy: if sort == null then [] else [{ displayName: sort, desc: true }],
    }) {
      transformations: [
        { id: 'merge', options: {} },
        {
          id: 'organize',
          options: {
            excludeByName: { [name]: true for name in ['Time'] + hide },
            indexByName:
              { [shown[i]]: i for i in std.range(0, std.length(shown) - 1) } +
              { [value(i)]: std.length(shown) + i for i in std.range(0, std.length(figures) - 1) },
            renameByName:
              { [l[0]]: l[1] for l in labels } +
              { [value(i)]: figures[i].heading for i in std.range(0, std.length(figures) - 1) },
          },
        },
      ],
      fieldConfig+: {
        overrides: [
          {
            matcher: { id: 'byName', options: f.heading },
            properties:
              [{ id: 'unit', value: f.unit }] +
              (if f.decimals == null then [] else [{ id: 'decimals', value: f.decimals }]) +
              (if f.mappings == [] then [] else [{ id: 'mappings', value: f.mappings }, { id: 'custom.cellOptions', value: { type: 'color-text' } }]) +
              (if f.steps == null then [] else [
                 { id: 'thresholds', value: thresholds(f.steps) },
                 { id: 'color', value: { mode: 'thresholds' } },
                 { id: 'custom.cellOptions', value: { type: 'color-text' } },
               ]),
          }
          for f in figures
        ],
      },
    },

  text(title, content, width=24, height=4)::
    { type: 'text', title: title, options: { mode: 'markdown', content: content }, gridPos: { w: width, h: height } },

  row(title, panels):: { title: title, panels: panels },

  // File systems of the host; a home is one in a file, and has figures of its own. The disk of homes is said once more, for
  // dashboards made for Kubernetes.
  disks: '{cluster="$cluster", fstype!~"tmpfs|ramfs|overlay|squashfs", device!~"/dev/loop.*", component!="shared-volume-metrics"}',

  // Seconds until the disk of the homes is full. A year at most, and nothing in the first hour: it would be guessed.
  full_in: |||
    clamp_max(caas_homes_free_bytes{cluster="$cluster"} / clamp_min(-deriv(caas_homes_free_bytes{cluster="$cluster"}[1d]), 1), 31536000)
    and caas_homes_free_bytes{cluster="$cluster"} offset 1h
  |||,
  full_in_words: 'If it goes on as in the last day. A year or more: it is not filling. Not known in the first hour.',

  // Users who had anything running in the time shown.
  user: {
    name: 'user',
    label: 'User',
    type: 'query',
    datasource: datasource,
    query: { query: 'label_values(caas_user_memory_bytes{cluster="$cluster"}, user)', refId: 'user' },
    definition: 'label_values(caas_user_memory_bytes{cluster="$cluster"}, user)',
    refresh: 2,
    sort: 1,
    includeAll: true,
    allValue: '.*',
    multi: true,
    current: { text: ['All'], value: ['$__all'] },
  },

  // Who looks, by the hub's name: Grafana knows them as NAME@DOMAIN. PromQL takes it apart, as Grafana has nothing that does;
  // of a question without a metric the answer is everybody's to have.
  local login = 'query_result(label_replace(label_replace(vector(1), "login", "${__user.login}", "", ""), "user", "$1", "login", "([^@]*).*"))',
  myself: {
    name: 'me',
    label: 'Me',
    type: 'query',
    hide: 2,
    datasource: datasource,
    query: { query: login, refId: 'me' },
    definition: login,
    regex: '/user="([^"]*)"/',
    refresh: 1,
    sort: 0,
    includeAll: false,
    multi: false,
  },

  // A vertical line in every graph where a kernel or worker was killed for its memory.
  killed: {
    name: 'Killed for memory',
    datasource: datasource,
    enable: true,
    iconColor: 'red',
    target: {
      refId: 'killed',
      expr: 'sum by (user, kind) (increase(caas_user_oom_kills_total{cluster="$cluster"}[2m])) > 0',
      interval: '60s',
    },
    titleFormat: 'killed for memory',
    textFormat: '{{user}}: {{kind}}',
    tagKeys: 'user,kind',
  },

  dashboard(name, title, description, rows, variables=[], annotations=[], period='now-6h'):: {
    uid: 'caas-' + name,
    title: title,
    description: description,
    tags: ['caas'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '1m',
    time: { from: period, to: 'now' },
    timezone: 'browser',
    links: [{
      type: 'dashboards',
      title: 'Dashboards of this cluster',
      tags: ['caas'],
      asDropdown: true,
      includeVars: true,
      keepTime: true,
      targetBlank: false,
      icon: 'external link',
      tooltip: '',
      url: '',
    }],
    annotations: { list: annotations },
    templating: {
      list: [
        {
          name: 'datasource',
          label: 'Data source',
          type: 'datasource',
          query: 'prometheus',
          refresh: 1,
          includeAll: false,
          multi: false,
        },
        {
          name: 'cluster',
          label: 'Cluster',
          type: 'query',
          datasource: datasource,
          query: { query: 'label_values(caas_exporter_build_info, cluster)', refId: 'cluster' },
          definition: 'label_values(caas_exporter_build_info, cluster)',
          refresh: 2,
          sort: 1,
          includeAll: false,
          multi: false,
        },
      ] + variables,
    },
    panels: std.mapWithIndex(function(i, p) { id: i + 1 } + p, lay(rows)),
  },
}
