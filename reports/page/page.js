// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Draws the report out of the JSON in this file.  Whatever comes from a
 * recording goes into the page as text or as a number, never as markup.
 */
'use strict';
(() => {
	const data = JSON.parse(document.getElementById('data').textContent);
	const timed = data.modes.filter((m) => m.total);
	const charts = [];

	// ---- text ----

	const at = (id) => document.getElementById(id);
	const unknown = '–';

	function us(ns) {
		if (ns === null || ns === undefined)
			return unknown;
		return (ns / 1000).toLocaleString('en-US', { minimumFractionDigits: 3, maximumFractionDigits: 3 });
	}

	const int = (n) => n === null || n === undefined ? unknown : n.toLocaleString('en-US');

	function make(tag, properties, ...children) {
		const e = document.createElement(tag);

		for (const [key, value] of Object.entries(properties || {})) {
			if (key === 'style')
				Object.assign(e.style, value);
			else if (key in e)
				e[key] = value;
			else
				e.setAttribute(key, value);
		}
		e.append(...children);
		return e;
	}

	// columns: [title, is a number?]; each row is a list of cells
	function fill(table, caption, columns, rows) {
		const cell = (tag, value, [, number], more) =>
			make(tag, { className: number ? 'num' : '', ...more }, value);

		table.append(make('caption', { hidden: true }, caption),
			make('thead', null, make('tr', null, ...columns.map((c) =>
				cell('th', c[0], c, { scope: 'col' })))),
			make('tbody', null, ...rows.map((row) => make('tr', null, ...row.map((value, i) =>
				i ? cell('td', value, columns[i]) : cell('th', value, columns[i], { scope: 'row' }))))));
	}

	const name = (m) => m.configured === m.mode ? m.mode : `${m.mode} (configured ${m.configured})`;
	const color = (i) => getComputedStyle(document.documentElement).getPropertyValue(`--c${i % 6}`).trim();
	const styled = (property) => getComputedStyle(document.documentElement).getPropertyValue(property).trim();

	// ---- summary ----

	function showHead() {
		const meta = data.meta;

		at('subtitle').textContent = [meta.start, `${(data.duration / 1e9).toFixed(3)} s`, meta.kernel, meta.arch,
			meta.rig && `rig ${meta.rig}`, meta.backend && `backend ${meta.backend}`].filter(Boolean).join(' · ');
	}

	function showAlerts() {
		const lost = data.lost, say = (text) => at('alerts').append(make('p', { className: 'alert' }, text));
		const sources = Object.entries(lost.sources).map(([k, v]) => `${k} ${int(v)}`).join(', ');

		if (lost.records)
			say(`${int(lost.records)} records were lost: figures are of what remains (${sources}).`);
		if (lost.unmatched)
			say(`${int(lost.unmatched)} ends of interrupts match no ring.`);
		if (lost.disordered)
			say(`Points out of order: ${int(lost.disordered)} of the journeys; they are in no latency.`);
		data.problems.forEach(say);
		for (const m of data.modes) {
			if (m.counts.unfinished)
				say(`${name(m)}: ${int(m.counts.unfinished)} interrupts were still under way at the end.`);
			if (m.configured !== m.mode && m.configured !== 'auto' && m.configured !== 'unknown')
				say(`Links configured as ${m.configured} were observed as ${m.mode}.`);
		}
		if (data.meta.not_kept)
			say(`Only ${int(Number(data.meta.kept))} of ${int(Number(data.meta.kept) + Number(data.meta.not_kept))} ` +
				'journeys were kept one by one: dots and waterfalls are of these, all figures of all.');
	}

	function showSummary() {
		const columns = [['mode'], ['rung', 1], ['delivered', 1], ['coalesced', 1], ['masked', 1], ['dropped', 1],
			['from..to'], ['p50, µs', 1], ['p99, µs', 1], ['p99.9, µs', 1], ['max, µs', 1]];

		fill(at('summary'), 'Counts and latency of each mode', columns, data.modes.map((m) => [name(m),
			int(m.counts.rung), int(m.counts.delivered), int(m.counts.coalesced), int(m.counts.masked),
			int(m.counts.dropped), m.total ? m.total.name : unknown, ...['p50', 'p99', 'p999', 'max'].map((k) =>
				us(m.total && m.total[k]))]));
		if (!data.modes.length)
			at('summary').replaceWith(make('p', null, 'No doorbell of a link was rung while recording.'));
	}

	// ---- hop by hop ----

	// Bars one after the other: [left, width] as shares of the whole
	function bar(left, width, fill_color) {
		return make('div', { className: 'track', 'aria-hidden': 'true' }, make('span', { style: {
			left: `${100 * left}%`, width: `${100 * width}%`, background: fill_color } }));
	}

	function showMode(m, i) {
		const table = make('table'), sum = m.total.sum || 1;
		const columns = [['hop'], ['count', 1], ['p50, µs', 1], ['p99, µs', 1], ['max, µs', 1], ['share', 1],
			['waterfall of the mean']];
		let left = 0;
		const rows = m.hops.map((h) => {
			const row = [h.name + (h.err ? ` ±${us(h.err)}` : ''), int(h.count), us(h.p50), us(h.p99), us(h.max),
				`${(100 * h.sum / sum).toFixed(1)} %`, bar(left, h.sum / sum, `var(--c${i % 6})`)];

			left += h.sum / sum;
			return row;
		});

		rows.push([`total ${m.total.name}`, int(m.total.count), us(m.total.p50), us(m.total.p99), us(m.total.max),
			'100.0 %', bar(0, 1, `var(--c${i % 6})`)]);
		fill(table, `Hops of mode ${name(m)}`, columns, rows);
		table.querySelectorAll('td:last-child').forEach((td) => { td.className = 'bar'; });
		table.querySelector('tbody tr:last-child').className = 'total';
		at('modes').append(make('h3', null, name(m)),
			make('p', { className: 'hint' }, 'Receiver: ' + m.paths.map((p) =>
				`${p.state} ${int(p.count)} (p50 ${us(p.p50)} µs)`).join(', ')),
			make('div', { className: 'scroll', tabIndex: 0, role: 'group', 'aria-label': `Hops of ${name(m)}` }, table));
	}

	// ---- charts ----

	function axis(label, values, extra) {
		return { stroke: styled('--text'), grid: { stroke: styled('--line'), width: 1 },
			ticks: { stroke: styled('--line'), width: 1 }, label, labelSize: 22, labelFont: '13px system-ui, sans-serif',
			font: '12px system-ui, sans-serif', values, ...extra };
	}

	// Ticks of a logarithmic axis: labels on 1, 2 and 5 if there is room, else on powers of ten
	function logValues(u, splits) {
		const decades = splits.length ? Math.log10(splits[splits.length - 1] / splits[0]) : 1;

		return splits.map((v) => {
			const digit = Math.round(v / 10 ** Math.floor(Math.log10(v) + 1e-9));

			if (digit !== 1 && (decades > 2.5 || ![2, 5].includes(digit)))
				return null;
			return v >= 1 ? v.toLocaleString('en-US') : String(+v.toPrecision(3));
		});
	}

	// A chart that fits its box and is drawn anew when colours change
	function chart(id, label, build) {
		const box = at(id);
		let plot = null;

		const draw = () => {
			if (plot)
				plot.destroy();
			const width = box.clientWidth, { options, values } = build();
			const tall = box.classList.contains('tall');

			plot = new uPlot({ width, height: tall ? 340 : 260, legend: { show: false }, ...options }, values, box);
			box.plot = plot;
		};

		box.setAttribute('role', 'img');
		box.setAttribute('aria-label', label);
		draw();
		new ResizeObserver(() => {
			if (plot && Math.abs(plot.width - box.clientWidth) > 1)
				plot.setSize({ width: box.clientWidth, height: plot.height });
		}).observe(box);
		charts.push(draw);
	}

	function legend(id, marks) {
		at(id).append(...marks.map(([text, i, dashed]) => make('span', null, make('i', { style: dashed ?
			{ background: `repeating-linear-gradient(90deg, var(--c${i % 6}) 0 4px, transparent 4px 7px)` } :
			{ background: `var(--c${i % 6})` } }), text)));
	}

	// Share of each mode's journeys in steps of an eighth of an octave, in µs
	function distributions() {
		const step = (ns) => Math.floor(Math.log2(Math.max(ns, 1)) * 8);
		const all = timed.map((m) => {
			const shares = new Map();

			for (const [low, high, count] of m.hist) {
				const key = step((low + high) / 2);

				shares.set(key, (shares.get(key) || 0) + count / m.total.count);
			}
			return shares;
		});
		const keys = all.flatMap((shares) => [...shares.keys()]);
		const first = Math.min(...keys) - 1, last = Math.max(...keys) + 1;
		const x = [];

		for (let k = first; k <= last; k++)
			x.push(2 ** ((k + .5) / 8) / 1000);
		return [x, ...all.map((shares) => x.map((_, i) => 100 * (shares.get(first + i) || 0)))];
	}

	function ecdfs() {
		const tables = timed.map((m) => {
			let below = 0;
			const x = [m.hist[0][0] / 1000], y = [0];

			for (const [, high, count] of m.hist) {
				below += count;
				x.push(high / 1000);
				y.push(100 * below / m.total.count);
			}
			return [x, y];
		});

		return uPlot.join(tables);
	}

	function distributionChart() {
		const bars = uPlot.paths.stepped({ align: 0 });
		const line = uPlot.paths.linear();

		legend('legend-hist', timed.map((m, i) => [name(m), i]));
		const scales = (y) => ({ x: { time: false, distr: 3 }, y });
		const common = (yLabel, yRange, series) => ({ scales: scales({ range: yRange }), series: [{}, ...series],
			axes: [axis('µs', logValues), axis(yLabel, (u, s) => s.map((v) => `${+v.toPrecision(3)}`), { size: 56 })],
			cursor: { drag: { x: true, y: false } } });

		chart('chart-hist', 'Distribution of the latency of ' + timed.map((m) =>
			`${name(m)}: median ${us(m.total.p50)} µs`).join('; '), () => ({
			values: distributions(),
			options: common('% of journeys', (u, min, max) => [0, Math.max(max, 1) * 1.05], timed.map((m, i) => ({
				stroke: color(i), width: 2, paths: line, points: { show: false }, fill: color(i) + '22' }))),
		}));
		chart('chart-ecdf', 'Share of journeys that took at most so long, by mode', () => ({
			values: ecdfs(),
			options: common('%', () => [0, 100], timed.map((m, i) => ({
				stroke: color(i), width: 2, paths: bars, points: { show: false }, spanGaps: true }))),
		}));
	}

	// ---- time, with outliers to click ----

	// All series share one ascending x; each has its own values on it
	function timeTables() {
		const table = (points) => {
			const sorted = points.slice().sort((a, b) => a[0] - b[0]);

			return [sorted.map((p) => p[0] / 1e9), sorted.map((p) => p[1] === null ? null : p[1] / 1000)];
		};

		return timed.flatMap((m) => [table(m.dots), table(m.outliers.map((o) => [o.t, o.total])),
			table(m.series.map((s) => [s[0], s[1]]))]);
	}

	// The outlier nearest to a place in the chart, if one is near enough for a finger
	function nearest(plot, left, top) {
		let best = null, reach = 24;

		timed.forEach((m) => m.outliers.forEach((o) => {
			const d = Math.hypot(plot.valToPos(o.t / 1e9, 'x') - left, plot.valToPos(o.total / 1000, 'y') - top);

			if (d < reach) {
				reach = d;
				best = [m, o];
			}
		}));
		return best;
	}

	function timeChart() {
		const dots = (i) => ({ stroke: color(i), paths: () => null, points: { show: true, size: 3, width: 0,
			fill: color(i) + 'aa' } });
		const rings = (i) => ({ stroke: color(i), paths: () => null, points: { show: true, size: 9, width: 2,
			stroke: color(i), fill: styled('--panel') } });
		const medians = (i) => ({ stroke: color(i), width: 2, dash: [6, 4], points: { show: false }, spanGaps: true });
		const shown = timed.reduce((sum, m) => sum + m.dots.length, 0);
		const all = timed.reduce((sum, m) => sum + m.total.count, 0);

		at('dots-note').textContent = shown < all ?
			`Dots are a sample of ${int(shown)} out of ${int(all)} journeys; ` +
			'the slowest of each 1/160 of the time has a ring, if it is among the slowest tenth. ' +
			'Dashed: median of each block of time, over all journeys.' :
			`Dots are all ${int(all)} journeys. Dashed: median of each block of time.`;
		legend('legend-time', timed.flatMap((m, i) => [[name(m), i], [`${name(m)}, median`, i, true]]));
		chart('chart-time', 'Latency over time; the slowest journeys are in the table below', () => ({
			values: uPlot.join(timeTables()),
			options: {
				scales: { x: { time: false }, y: { distr: 3 } },
				series: [{}, ...timed.flatMap((m, i) => [dots(i), rings(i), medians(i)])],
				axes: [axis('s', (u, s) => s.map((v) => String(+v.toPrecision(6)))),
					axis('µs', logValues, { size: 64 })],
				cursor: { drag: { x: true, y: false }, points: { show: false } },
				hooks: { ready: [(u) => u.over.addEventListener('click', (e) => {
					const box = u.over.getBoundingClientRect();
					const found = nearest(u, e.clientX - box.left, e.clientY - box.top);

					if (found)
						showJourney(...found);
				})] },
			},
		}));
	}

	// ---- one interrupt ----

	function median(m, hop) {
		const h = m.hops.find((row) => row.name === hop);

		return h ? h.p50 : null;
	}

	function showJourney(m, o) {
		const i = timed.indexOf(m), first = o.points[0][1], last = o.points[o.points.length - 1][1];
		const whole = Math.max(last - first, 1), table = make('table');
		const columns = [['hop'], ['µs', 1], ['median of all, µs', 1], ['waterfall']];
		const rows = o.points.slice(1).map(([point, t], k) => {
			const [before, t0] = o.points[k];
			const standsIn = [before, point].some((p) => p.endsWith('~'));
			const hop = `${before}..${point}`.replace(/~/g, '') + (standsIn ? '~' : '');

			return [hop, us(t - t0), us(median(m, hop)), bar((t0 - first) / whole, (t - t0) / whole, `var(--c${i % 6})`)];
		});

		fill(table, 'Hops of this interrupt', columns, rows);
		table.querySelectorAll('td:last-child').forEach((td) => { td.className = 'bar'; });
		const facts = [`journey ${o.id}`, `mode ${name(m)}`, `link ${o.link}`, `${o.from}/${o.from_vcpu} → ${o.to}/${o.to_vcpu}`,
			`vector ${o.vector}`, `receiver ${o.receiver}`, `at ${(o.t / 1e9).toFixed(6)} s`];

		at('journey').replaceChildren(
			make('p', null, make('strong', null, `${us(o.total)} µs`), ` (median ${us(m.total.p50)} µs) · ${facts.join(' · ')}`),
			make('div', { className: 'scroll', tabIndex: 0, role: 'group', 'aria-label': 'Hops of this interrupt' }, table));
		if (o.causes)
			at('journey').append(make('h3', null, 'Why'), make('ul', null, ...o.causes.map((c) => make('li', null,
				`${us(c.ns)} µs, ${(100 * c.ns / o.total).toFixed(1)} %: ${c.text || c.kind}`))));
		at('one').focus({ preventScroll: true });
		at('one').scrollIntoView({ block: 'nearest' });
	}

	// What took most of it, if that was observed and is not what such a journey always takes
	function cause(o) {
		const main = (o.causes || []).find((c) => !['usual', 'unattributed'].includes(c.kind));

		return main ? `${main.kind} ${us(main.ns)} µs` : unknown;
	}

	function showSlowest() {
		const all = timed.flatMap((m) => m.slowest.map((o) => [m, o]));
		const columns = [['at, s', 1], ['mode'], ['link'], ['from → to'], ['vector', 1], ['receiver'], ['µs', 1],
			['cause'], ['']];

		all.sort((a, b) => b[1].total - a[1].total);
		const worst = timed.map((m) => all.filter((a) => a[0] === m).slice(0, Math.max(4, Math.ceil(12 / timed.length)))).flat()
			.sort((a, b) => b[1].total - a[1].total);
		fill(at('slowest'), 'The slowest interrupts of each mode', columns, worst.map(([m, o]) => [(o.t / 1e9).toFixed(6),
			name(m), o.link, `${o.from} → ${o.to}`, String(o.vector), o.receiver, us(o.total),
			cause(o), make('button', { type: 'button', onclick: () => showJourney(m, o),
				'aria-label': `Show the waterfall of journey ${o.id}, ${us(o.total)} microseconds` }, 'show')]));
	}

	// ---- recording ----

	function list(pairs) {
		return make('dl', null, ...pairs.flatMap(([k, v]) => [make('dt', null, k), make('dd', null, String(v))]));
	}

	function showEnvironment() {
		const box = at('environment'), env = data.environment;

		box.append(list([...Object.entries(data.meta), ['duration', `${(data.duration / 1e9).toFixed(3)} s`],
			['VMs (pid)', data.vms.map((v) => `${v.name} (${v.pid})`).join(', ')],
			['percentiles', data.exact ? 'exact' : 'of histograms, within 0.8 %'],
			['lost', data.lost.records ? int(data.lost.records) : 'nothing']]));
		if (env) {
			box.append(make('h3', null, 'Host'), list(Object.entries(env.host)));
			env.vms.forEach((v) => box.append(make('details', null, make('summary', null, `VM ${v.name}`),
				list(Object.entries(v.facts)))));
		}
		box.append(make('details', null, make('summary', null, 'Hooks'), list(Object.entries(data.hooks))));
	}

	showHead();
	showAlerts();
	showSummary();
	timed.forEach(showMode);
	if (timed.length) {
		distributionChart();
		timeChart();
		showSlowest();
	} else {
		for (const id of ['h-ecdf', 'h-time', 'h-one', 'h-slowest', 'h-modes'])
			at(id).closest('section').hidden = true;
	}
	showEnvironment();
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => charts.forEach((draw) => draw()));
})();
