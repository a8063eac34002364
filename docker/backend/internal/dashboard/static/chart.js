// Draws the equity over time: what is known, on an axis that says when, and nothing
// where there is no data.

const shownSeconds = 7200;
const labels = { right: 66, bottom: 20, top: 8 };

const create = (name, attributes, text) => {
	const e = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, String(value));
	if (text !== undefined) e.textContent = text;
	return e;
};

// Points further apart than this many steps have no data between them.
const longestStep = 1.5;

/** The points in pieces without a gap; a point is a pair of Unix seconds and a value. */
export function pieces(points, step) {
	const all = [];
	for (const point of points) {
		const last = all.at(-1)?.at(-1);
		if (last && point[0] - last[0] <= step * longestStep) all.at(-1).push(point);
		else all.push([point]);
	}
	return all;
}

/** Round values between low and high, three or so of them: one alone would tell no scale. */
export function ticks(low, high) {
	const raw = (high - low) / 3;
	const size = 10 ** Math.floor(Math.log10(raw));
	const count = (step) => Math.floor(high / step) - Math.ceil(low / step) + 1;
	const steps = [1, 2, 5, 10].map((n) => n * size);
	const widest = steps.find((n) => n >= raw);
	const step = steps.findLast((n) => n <= widest && count(n) >= 2);
	const values = [];
	for (let v = Math.ceil(low / step) * step; v <= high; v += step) values.push(v);
	return { values, digits: Math.max(0, Math.min(2, -Math.floor(Math.log10(step)))) };
}

/** Full quarters or half hours between two times, in local time. */
export function times(from, to, width) {
	const step = width < 420 ? 3600 / 2 : 900;
	const zone = new Date(to * 1000).getTimezoneOffset() * 60;
	const all = [];
	for (let t = Math.ceil((from - zone) / step) * step + zone; t <= to; t += step) all.push(t);
	return all;
}

const clock = (t) => new Date(t * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

/** Draws points, oldest first and step seconds apart, up to a moment in Unix seconds. */
export function draw(svg, points, step, now) {
	const { clientWidth: width, clientHeight: height } = svg;
	if (width === 0) return;
	const from = now - shownSeconds;
	const shown = points.filter(([t]) => t >= from);
	svg.replaceChildren();
	svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
	const right = width - labels.right, bottom = height - labels.bottom;
	const x = (t) => ((t - from) / shownSeconds) * right;
	for (const t of times(from, now, right)) {
		svg.append(create("line", { class: "grid", x1: x(t), x2: x(t), y1: labels.top, y2: bottom }));
		if (x(t) > 16 && x(t) < right - 12) svg.append(create("text", { class: "tick time", x: x(t), y: height - 4, "text-anchor": "middle" }, clock(t)));
	}
	if (shown.length === 0) {
		svg.append(create("text", { class: "tick none", x: right / 2, y: (labels.top + bottom) / 2 + 4, "text-anchor": "middle" }, "No data in the last two hours"));
		return;
	}

	const values = shown.map(([, v]) => v);
	let low = Math.min(...values), high = Math.max(...values);
	const room = Math.max((high - low) * 0.08, Math.abs(high) * 1e-5, 0.01);
	low -= room;
	high += room;
	const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - labels.top);
	const marks = ticks(low, high);
	const written = new Intl.NumberFormat("en-US", { minimumFractionDigits: marks.digits, maximumFractionDigits: marks.digits });
	for (const v of marks.values) {
		svg.append(create("line", { class: "grid", x1: 0, x2: right, y1: y(v), y2: y(v) }));
		svg.append(create("text", { class: "tick", x: right + 8, y: y(v) + 4 }, written.format(v)));
	}

	const parts = pieces(shown, step);
	for (const [i, part] of parts.entries()) {
		const begin = x(part[0][0]), end = x(part.at(-1)[0]);
		if (i > 0) {
			const before = parts[i - 1].at(-1)[0];
			const gap = create("rect", { class: "gap", x: x(before), width: begin - x(before), y: labels.top, height: bottom - labels.top });
			gap.append(create("title", {}, `No data from ${clock(before)} to ${clock(part[0][0])}`));
			svg.append(gap);
		}
		if (part.length === 1) {
			svg.append(create("circle", { class: "dot", cx: begin, cy: y(part[0][1]), r: 1.6 }));
			continue;
		}
		const line = part.map(([t, v]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
		svg.append(create("polygon", { class: "area", points: `${begin.toFixed(1)},${bottom} ${line} ${end.toFixed(1)},${bottom}` }));
		svg.append(create("polyline", { class: "line", points: line }));
	}
	svg.setAttribute("aria-label", `Equity over the last two hours, from ${written.format(values[0])} to ${written.format(values.at(-1))}${parts.length > 1 ? ", with times without data" : ""}`);
}
