// Keeps the page that the server has rendered up to date.
import { draw } from "./chart.js";
import { openStream } from "./stream.js";

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
	const td = cell("td", "", "text");
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

// The most traded symbols, by volume. The stream tells of more than are shown, so what
// is traded more than before comes into the list by itself.
const mostPrices = 24;
const quotes = new Map();

function priceRow(q) {
	const tr = document.createElement("tr");
	tr.dataset.symbol = q.symbol;
	tr.append(symbolCell(q.symbol), cell("td", "", "price"), cell("td", "", "signed change"), cell("td", "", "volume roomy"));
	return tr;
}

function showPrices(items) {
	const body = document.querySelector("#prices tbody");
	if (!body || items.length === 0) return;
	for (const q of items) {
		const known = quotes.get(q.symbol);
		if (!known?.ts || Date.parse(q.ts) >= Date.parse(known.ts)) quotes.set(q.symbol, q);
	}
	const shown = [...quotes.values()].sort((a, b) => b.volume - a.volume || (a.symbol < b.symbol ? -1 : 1)).slice(0, mostPrices);
	const rows = new Map([...body.rows].map((row) => [row.dataset.symbol, row]));
	const wanted = shown.map((q) => {
		const row = rows.get(q.symbol) ?? priceRow(q);
		const at = row.querySelector(".price");
		const before = Number(at.dataset.value ?? q.price);
		write(at, price(q.price));
		at.dataset.value = String(q.price);
		if (before !== q.price) animate(at, q.price > before ? "rose" : "fell");
		writeSigned(row.querySelector(".change"), q.change_pct, percent(q.change_pct));
		write(row.querySelector(".volume"), compactFormat.format(q.volume));
		return row;
	});
	// A row that is moved loses its animation, so only a new order moves any.
	if (wanted.length !== body.rows.length || wanted.some((row, i) => row !== body.rows[i])) body.replaceChildren(...wanted);
}

// A symbol that is no longer traded falls behind the others.
const longestBehind = 120000;

function forget() {
	const times = [...quotes.values()].map((q) => Date.parse(q.ts) || 0);
	const newest = Math.max(...times);
	for (const q of quotes.values()) if (newest - (Date.parse(q.ts) || 0) > longestBehind) quotes.delete(q.symbol);
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
	tr.append(at, symbolCell(s.symbol), tagged(s.signal_type), cell("td", label(s.indicator), "roomy text"), cell("td", price(s.price)));
	// One that was missed comes among its like.
	body.insertBefore(tr, [...body.rows].find((row) => Number(row.dataset.id) < s.id) ?? null);
	animate(tr, "fresh");
	while (body.rows.length > mostSignals) body.lastElementChild.remove();
}

// The chart: pairs of Unix seconds and equity, those of the past step seconds apart.
const chart = byId("chart");
let points = chart ? JSON.parse(chart.dataset.points || "[]") : [];
let step = Number(chart?.dataset.step) || 60;
// The server's clock counts, for the points are its.
const ahead = chart ? Number(chart.dataset.now) - Date.now() / 1000 : 0;
const keptSeconds = 7200;

function drawChart() {
	if (!chart) return;
	const now = Math.max(Date.now() / 1000 + ahead, points.at(-1)?.[0] ?? 0);
	points = points.filter(([t]) => t > now - keptSeconds);
	draw(chart, points, step, now);
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
	drawChart();
}

function showMarket(simulated) {
	if (typeof simulated === "boolean") byId("notice").hidden = !simulated;
}

// What the stream does not tell, as the number of active signals, and all that a lost
// one may have missed.
async function refresh() {
	let data;
	try {
		const response = await fetch("/data");
		if (!response.ok) return;
		data = await response.json();
	} catch {
		return; // The next one may succeed.
	}
	if ("lost" in document.body.dataset) return location.reload();
	const status = data.status;
	showMarket(status.simulated);
	write(byId("active"), String(status.active_signals));
	write(byId("accuracy"), status.signal_accuracy === null ? "–" : Math.round(status.signal_accuracy * 100) + " %");
	write(byId("symbols"), String(status.symbols));
	showPrices(data.quotes ?? []);
	forget();
	for (const s of [...(data.signals ?? [])].reverse()) showSignal(s);
	const past = JSON.parse(data.points || "[]");
	const last = past.at(-1)?.[0] ?? 0;
	points = [...past, ...points.filter(([t]) => t > last)];
	step = data.step || step;
	drawChart();
}

const live = byId("live");
function state(name, text) {
	live.dataset.state = name;
	write(live, text);
}

// Prices older than this come from an engine that no longer writes any.
const freshMilliseconds = 30000;

function onMessage(frame) {
	showMarket(frame.simulated);
	if (frame.type === "hello") state("waiting", "Waiting for prices");
	if (frame.type === "prices") {
		if ("lost" in document.body.dataset) return location.reload();
		const current = Date.now() + ahead * 1000 - Date.parse(frame.ts) < freshMilliseconds;
		state(current ? "live" : "stale", current ? "Live" : "No new prices");
		showPrices(frame.items);
	}
	if (frame.type === "positions") showPositions(frame.items);
	if (frame.type === "signal") showSignal(frame.signal);
	if (frame.type === "pnl") showPnL(frame.pnl, frame.ts);
}

for (const time of document.querySelectorAll("time")) time.replaceWith(localTime(time.dateTime));
for (const row of document.querySelectorAll("#prices tr[data-symbol]")) {
	quotes.set(row.dataset.symbol, { symbol: row.dataset.symbol, price: Number(row.querySelector(".price").dataset.value), change_pct: Number(row.dataset.change), volume: Number(row.dataset.volume) });
}
if (chart) new ResizeObserver(drawChart).observe(chart);
openStream(location.protocol.replace("http", "ws") + "//" + location.host + "/ws", {
	newest: Number(document.querySelector("#signals tr[data-id]")?.dataset.id) || undefined,
	onMessage,
	onLost: () => state("lost", "Reconnecting"),
	onMissed: () => void refresh(),
});
setInterval(refresh, 15000);
