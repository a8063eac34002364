// Keeps the page that the server has rendered up to date.
"use strict";

const byId = (id) => document.getElementById(id);

// As the server writes numbers.
const fixed = (digits, sign) => new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: sign ? "exceptZero" : "auto" });
const two = fixed(2), four = fixed(4), six = fixed(6), signed = fixed(2, true);
const compactFormat = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });
const rounded = (v) => Math.round(v * 100) / 100 || 0;
const price = (v) => (v >= 100 ? two : v >= 1 ? four : six).format(v);
const money = (v) => signed.format(rounded(v));
const percent = (v) => signed.format(rounded(v)) + " %";
const share = (v) => two.format(v * 100) + " %";
const label = (name) => {
	const text = name.replaceAll("_", " ").replace(/\b(rsi|ema|macd)\b/g, (w) => w.toUpperCase());
	return text.charAt(0).toUpperCase() + text.slice(1);
};

const write = (cell, text) => {
	if (cell && cell.textContent !== text) cell.textContent = text;
};
const writeSigned = (cell, value, text) => {
	if (!cell) return;
	write(cell, text);
	cell.dataset.sign = String(Math.sign(rounded(value)));
};
const animate = (element, name) => {
	element.classList.remove("rose", "fell", "fresh");
	void element.offsetWidth; // starts the animation anew
	element.classList.add(name);
};
const cell = (tag, text, className) => {
	const e = document.createElement(tag);
	e.textContent = text;
	if (className) e.className = className;
	return e;
};
const tagged = (side) => {
	const td = document.createElement("td");
	const tag = cell("span", side, "tag");
	tag.dataset.side = side;
	td.append(tag);
	return td;
};
const symbolCell = (name) => {
	const th = cell("th", name);
	th.scope = "row";
	return th;
};

function showPrices(items) {
	for (const q of items) {
		const row = document.querySelector(`#prices tr[data-symbol="${CSS.escape(q.symbol)}"]`);
		if (!row) continue;
		const at = row.querySelector(".price");
		const before = Number(at.dataset.value);
		if (before !== q.price) {
			write(at, price(q.price));
			at.dataset.value = String(q.price);
			animate(at, q.price > before ? "rose" : "fell");
		}
		writeSigned(row.querySelector(".change"), q.change_pct, percent(q.change_pct));
		write(row.querySelector(".volume"), compactFormat.format(q.volume));
	}
}

function nothing(text) {
	const tr = document.createElement("tr");
	tr.className = "none";
	const td = cell("td", text);
	td.colSpan = 5;
	tr.append(td);
	return tr;
}

function showPositions(items) {
	const body = document.querySelector("#positions tbody");
	if (!body) return;
	const rows = items.map((p) => {
		const tr = document.createElement("tr");
		const pnl = cell("td", money(p.pnl), "signed");
		pnl.dataset.sign = String(Math.sign(rounded(p.pnl)));
		tr.append(symbolCell(p.symbol), tagged(p.quantity < 0 ? "short" : "long"), cell("td", price(p.entry_price), "roomy"), cell("td", price(p.price)), pnl);
		return tr;
	});
	body.replaceChildren(...(rows.length > 0 ? rows : [nothing("No open position.")]));
}

const mostSignals = 20;

function localTime(time) {
	const e = document.createElement("time");
	e.dateTime = time;
	e.textContent = new Date(time).toLocaleTimeString("en-GB");
	return e;
}

function showSignal(s) {
	const body = document.querySelector("#signals tbody");
	if (!body || body.querySelector(`[data-id="${Number(s.id)}"]`)) return;
	body.querySelector(".none")?.remove();
	const tr = document.createElement("tr");
	tr.dataset.id = s.id;
	const at = document.createElement("td");
	at.append(localTime(s.ts));
	tr.append(at, symbolCell(s.symbol), tagged(s.signal_type), cell("td", label(s.indicator), "roomy"), cell("td", price(s.price)));
	body.prepend(tr);
	animate(tr, "fresh");
	while (body.rows.length > mostSignals) body.lastElementChild.remove();
}

// The chart: pairs of Unix seconds and equity.
const chart = byId("chart");
let points = chart ? JSON.parse(chart.dataset.points) : [];
const chartSeconds = 7200;

function drawChart() {
	if (!chart || points.length < 2) return;
	const [width, height, margin] = [600, 120, 6];
	const first = points[0][0], last = points.at(-1)[0];
	let low = Infinity, high = -Infinity;
	for (const [, v] of points) {
		low = Math.min(low, v);
		high = Math.max(high, v);
	}
	const x = (t) => ((t - first) / (last - first || 1)) * width;
	const y = (v) => height - margin - ((v - low) / (high - low || 1)) * (height - 2 * margin);
	const line = points.map(([t, v]) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
	chart.querySelector(".line").setAttribute("points", line);
	chart.querySelector(".area").setAttribute("points", `0,${height} ${line} ${width},${height}`);
}

function showPnL(p, at) {
	write(byId("equity"), two.format(p.equity));
	writeSigned(byId("total"), p.total, money(p.total));
	writeSigned(byId("realized"), p.realized, money(p.realized));
	writeSigned(byId("unrealized"), p.unrealized, money(p.unrealized));
	write(byId("risk"), share(p.risk));
	write(byId("exposure"), two.format(p.exposure));
	write(byId("open"), String(p.open_positions));
	const seconds = Date.parse(at) / 1000;
	if (points.length === 0 || seconds > points.at(-1)[0]) points.push([seconds, p.equity]);
	points = points.filter(([t]) => t > seconds - chartSeconds);
	drawChart();
}

// The number of active signals changes with every new and every scored one, and the
// lists may start out empty: a page that was rendered anew says what the stream does not.
async function refresh() {
	try {
		const response = await fetch(location.href, { headers: { Accept: "text/html" } });
		if (!response.ok) return;
		const page = new DOMParser().parseFromString(await response.text(), "text/html");
		for (const id of ["active", "prices"]) {
			const mine = byId(id), fresh = page.getElementById(id);
			if (!mine || !fresh) return location.reload(); // from the page without data
			if (id === "active") write(mine, fresh.textContent);
			else if (mine.querySelector(".none") && !fresh.querySelector(".none")) mine.replaceWith(document.adoptNode(fresh));
		}
	} catch {
		// The next one may succeed.
	}
}

const live = byId("live");
function state(name, text) {
	live.dataset.state = name;
	write(live, text);
}

let attempt = 0;
// A stream that says nothing for so long is broken, whatever the connection claims.
const silence = 20000;

function connect() {
	const socket = new WebSocket(location.protocol.replace("http", "ws") + "//" + location.host + "/ws");
	let watchdog;
	const watch = () => {
		clearTimeout(watchdog);
		watchdog = setTimeout(() => socket.close(), silence);
	};
	watch();
	socket.onmessage = (event) => {
		watch();
		const frame = JSON.parse(event.data);
		if (frame.type === "prices") {
			attempt = 0;
			if ("lost" in document.body.dataset) return location.reload();
			// Prices that the engine no longer writes come once and are old.
			const age = Date.now() - Date.parse(frame.ts);
			state(age < 30000 ? "live" : "stale", age < 30000 ? "Live" : "No new prices");
			showPrices(frame.items);
			if (document.querySelector("#prices .none")) refresh();
		}
		if (frame.type === "positions") showPositions(frame.items);
		if (frame.type === "signal") showSignal(frame.signal);
		if (frame.type === "pnl") showPnL(frame.pnl, frame.ts);
	};
	socket.onclose = () => {
		clearTimeout(watchdog);
		state("lost", "Reconnecting");
		// Spread out, so that the browsers of a stopped process do not come back at once.
		setTimeout(connect, Math.min(15000, 500 * 2 ** attempt++) * (0.5 + Math.random() / 2));
	};
}

for (const time of document.querySelectorAll("time")) time.replaceWith(localTime(time.dateTime));
drawChart();
connect();
setInterval(refresh, 15000);
