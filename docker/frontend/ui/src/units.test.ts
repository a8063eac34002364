import assert from "node:assert/strict";
import { test } from "node:test";
import { Api, ApiError, type Part, type Quote, type Signal } from "./api";
import * as format from "./format";
import { parse, symbolPath } from "./router";
import { merge } from "./signals";
import { apply, freshSignals, lacks, learn, notePart, pnl, quote, simulated } from "./store";
import { askedToWait, backoff, openStream, type Connection, type Stream } from "./stream";

test("prices keep as many decimals as their size asks for", () => {
  assert.equal(format.price(31234.5678), "31,234.57");
  assert.equal(format.price(12.5), "12.5000");
  assert.equal(format.price(0.0123456), "0.012346");
});

test("signs are written, but never on a zero", () => {
  assert.equal(format.percent(1.234), "+1.23 %");
  assert.equal(format.percent(-1.235), "-1.24 %");
  assert.equal(format.percent(-0.001), "0.00 %");
  assert.equal(format.money(-0.004), "0.00");
  assert.equal(format.money(1284.5), "+1,284.50");
});

test("times are told in their largest unit", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  assert.equal(format.ago("2026-01-02T00:00:03Z", now), "now"); // a clock that runs ahead
  assert.equal(format.ago("2026-01-01T23:59:30Z", now), "30 s ago");
  assert.equal(format.ago("2026-01-01T23:30:00Z", now), "30 min ago");
  assert.equal(format.ago("2026-01-01T12:00:00Z", now), "12 h ago");
  assert.equal(format.ago("2025-12-30T00:00:00Z", now), "3 d ago");
  assert.equal(format.ago("nonsense", now), "–");
});

test("names of indicators are readable", () => {
  assert.equal(format.label("rsi_reversal"), "RSI reversal");
  assert.equal(format.label("ema_cross"), "EMA cross");
  assert.equal(format.label("breakout"), "Breakout");
});

test("addresses lead to pages and back", () => {
  assert.deepEqual(parse("/"), { page: "overview" });
  assert.deepEqual(parse("/symbols"), { page: "markets" });
  assert.deepEqual(parse(symbolPath("A/B C")), { page: "symbol", symbol: "A/B C" });
  assert.deepEqual(parse("/symbols/%zz"), { page: "symbol", symbol: "%zz" });
  assert.deepEqual(parse("/signals/7"), { page: "missing" });
});

test("attempts to reconnect come ever later, spread out, up to half a minute", () => {
  assert.deepEqual([0, 1, 2].map((n) => backoff(n, 1)), [1000, 2000, 4000]);
  assert.equal(backoff(60, 1), 30_000);
  assert.deepEqual([0, 5, 60].map((n) => backoff(n, 0)), [100, 100, 100]);
  // Half of the browsers that one crash cut off come in either half of the time.
  assert.ok(Math.abs(backoff(3, 0.5) - 4050) < 1);
});

test("a server that closes in good order may ask to be left alone", () => {
  assert.equal(askedToWait(1013, "too many streams; retry-after=3"), 3000);
  assert.equal(askedToWait(1012, "Retry-After: 0.5"), 500);
  assert.equal(askedToWait(1001, "the process is stopping: connect again"), 0);
  assert.equal(askedToWait(1013, "retry-after=86400"), 60_000, "nobody waits for a day");
  assert.equal(askedToWait(1006, "retry-after=3"), 0, "a broken connection has no reason");
});

const quoteAt = (price: number, ts: string): Quote => ({ symbol: "A", price, change_pct: 0, volume: 1, ts });

test("an older price never replaces a newer one", () => {
  learn([quoteAt(2, "2026-01-01T00:00:02Z")]);
  learn([quoteAt(1, "2026-01-01T00:00:01Z")]);
  assert.equal(quote("A").value?.price, 2);
  apply({ type: "prices", items: [quoteAt(3, "2026-01-01T00:00:03Z")] });
  assert.equal(quote("A").value?.price, 3);
});

const signal = (id: number, ts: string, status = "active"): Signal => ({ id, symbol: "A", signal_type: "buy", indicator: "macd", confidence: 0.5, price: 1, ts, status, outcome_pct: null });

test("signals of the stream and of the list are one list", () => {
  apply({ type: "signal", signal: signal(1, "2026-01-01T00:00:01Z") });
  apply({ type: "signal", signal: signal(2, "2026-01-01T00:00:02Z") });
  apply({ type: "signal", signal: signal(2, "2026-01-01T00:00:02Z") });
  assert.deepEqual(freshSignals.value.map((s) => s.id), [2, 1]);
  const merged = merge(freshSignals.value, [signal(1, "2026-01-01T00:00:01Z", "hit"), signal(3, "2026-01-01T00:00:00Z")]);
  assert.deepEqual(merged.map((s) => [s.id, s.status]), [[2, "active"], [1, "hit"], [3, "active"]]);
});

test("frames that are not understood change nothing", () => {
  const before = pnl.value;
  for (const frame of [null, 7, "text", [], {}, { type: "prices" }, { type: "prices", items: [{}] }, { type: "pnl" }, { type: "pnl", pnl: {} }, { type: "signal", signal: { id: 1 } }, { type: "new", pnl: {} }]) apply(frame);
  assert.equal(pnl.value, before);
});

class Socket {
  static made: Socket[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string }) => void;
  readyState = 0;
  sent: string[] = [];
  constructor(readonly url: string) {
    Socket.made.push(this);
  }
  open() {
    this.readyState = 1;
    this.onopen!();
  }
  say(message: object) {
    this.onmessage!({ data: JSON.stringify(message) });
  }
  end(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose!({ code, reason });
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.readyState = 3;
  }
}

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((done) => setTimeout(done, 5));
};

type Streamed = { stream: Stream; states: Connection[]; messages: unknown[]; missed: () => number; next: () => Promise<Socket> };

/** Runs a test on a stream whose sockets it plays, and whose waits end at once. */
async function withStream(options: { silenceMs?: number; settleMs?: number }, run: (s: Streamed) => Promise<void>) {
  const real = { WebSocket: globalThis.WebSocket, random: Math.random };
  globalThis.WebSocket = Socket as unknown as typeof WebSocket;
  Math.random = () => 0;
  Socket.made = [];
  const states: Connection[] = [];
  const messages: unknown[] = [];
  let missed = 0;
  const stream = openStream({ url: "wss://x/ws", ...options, onMessage: (m) => messages.push(m), onConnection: (s) => states.push(s), onMissed: () => missed++ });
  let taken = 0;
  const next = async () => {
    await until(() => Socket.made.length > taken);
    return Socket.made[taken++]!;
  };
  try {
    await run({ stream, states, messages, missed: () => missed, next });
  } finally {
    stream.close();
    globalThis.WebSocket = real.WebSocket;
    Math.random = real.random;
  }
}

test("a stream that falls silent is asked for a sign, then opened again", () =>
  withStream({ silenceMs: 20 }, async ({ stream, states, messages, next }) => {
    const first = await next();
    stream.subscribe(["A"]);
    assert.deepEqual(first.sent, [], "nothing can be sent before the stream is open");
    first.open();
    first.onmessage!({ data: '{"a":1}' });
    first.onmessage!({ data: "no JSON" });
    assert.deepEqual(messages, [{ a: 1 }]);
    assert.deepEqual(first.sent, ['{"subscribe":["A"]}']);

    await until(() => first.sent.length === 2);
    assert.deepEqual(states, ["connecting", "live"], "a silent stream that may still answer is no broken one");
    const second = await next();
    assert.equal(first.readyState, 3, "the silent one is closed");

    first.onmessage!({ data: '{"late":true}' });
    second.open();
    second.onmessage!({ data: '{"b":2}' });
    assert.deepEqual(messages, [{ a: 1 }, { b: 2 }]);
    assert.equal(second.sent[0], '{"subscribe":["A"]}', "what was asked for is asked for again");
    assert.deepEqual(states, ["connecting", "live", "reconnecting", "live"]);

    stream.close();
    second.end();
    assert.equal(states.length, 4, "a closed stream stays closed");
  }));

test("a stream that is back asks for the signals after the last that it knows", () =>
  withStream({}, async ({ missed, next, messages }) => {
    const first = await next();
    assert.equal(first.url, "wss://x/ws");
    first.say({ type: "hello", last_signal: 7 });
    first.end(1012);

    const second = await next();
    assert.equal(second.url, "wss://x/ws?since=7", "no signal has come yet, but 7 was there before");
    second.say({ type: "hello", last_signal: 9 });
    second.say({ type: "signal", signal: { id: 8 } });
    second.end(1001);

    // 9 was on its way when the connection ended.
    const third = await next();
    assert.equal(third.url, "wss://x/ws?since=8");
    third.say({ type: "hello", last_signal: 10 });
    third.say({ type: "signal", signal: { id: 9 } });
    third.say({ type: "signal", signal: { id: 10 } });
    assert.equal(missed(), 0, "it goes on where it ended");
    assert.equal(messages.length, 6);
    third.end();

    const fourth = await next();
    assert.equal(fourth.url, "wss://x/ws?since=10");
    fourth.say({ type: "hello", last_signal: 400 });
    fourth.say({ type: "gap", since: 10 });
    assert.equal(missed(), 1, "the server does not remember them all");
    fourth.say({ type: "signal", signal: { id: 400 } });
    fourth.end();

    const fifth = await next();
    assert.equal(fifth.url, "wss://x/ws?since=400");
    fifth.say({ type: "hello", last_signal: 3 });
    assert.equal(missed(), 2, "the server counts anew, or knows less");
    fifth.end();
    assert.equal((await next()).url, "wss://x/ws?since=3");
  }));

test("a stream whose server numbers nothing has missed something each time", () =>
  withStream({}, async ({ missed, next }) => {
    (await next()).say({ type: "hello" });
    assert.equal(missed(), 0, "before the first message nothing was there to be missed");
    for (let n = 1; n <= 2; n++) {
      Socket.made.at(-1)!.say({ type: "signal", signal: { id: 5 } });
      Socket.made.at(-1)!.end(1001);
      const socket = await next();
      assert.equal(socket.url, "wss://x/ws");
      socket.say({ type: "prices" });
      assert.equal(missed(), n);
    }
  }));

test("a server that closes at once each time is left alone ever longer", () =>
  withStream({ settleMs: 60_000 }, async ({ next }) => {
    const waits: number[] = [];
    const real = globalThis.setTimeout;
    globalThis.setTimeout = ((run: () => void, ms: number) => {
      if (waits.push(ms) && ms < 10_000) return real(run, 0);
      return real(run, ms);
    }) as typeof setTimeout;
    Math.random = () => 1;
    try {
      for (let n = 0; n < 4; n++) {
        const socket = await next();
        socket.say({ type: "hello" });
        waits.length = 0;
        socket.end(1013, "too many streams; retry-after=2");
        assert.deepEqual(waits, [2000 + 1000 * 2 ** n]);
      }
    } finally {
      globalThis.setTimeout = real;
    }
  }));

test("a stream that never answers is not called lost", () =>
  withStream({}, async ({ states, next, stream }) => {
    for (let n = 0; n < 4; n++) {
      (await next()).end();
      stream.hurry(); // the long waits are not what is tested
    }
    assert.deepEqual(states, ["connecting", "connecting", "connecting", "connecting", "silent"]);
    (await next()).say({ type: "hello" });
    assert.equal(states.at(-1), "live");
  }));

type Told = { parts: [Part, boolean][]; simulated: boolean[] };

/** Calls the API, which answers with this. */
async function ask<T>(answer: () => Response | Promise<Response>, call: (api: Api) => Promise<T>): Promise<Told & { result?: T; error?: ApiError }> {
  const real = globalThis.fetch;
  globalThis.fetch = async (_, init) => {
    const signal = init?.signal;
    return Promise.race([answer(), new Promise<Response>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)))]);
  };
  const told: Told = { parts: [], simulated: [] };
  const api = new Api("", { onPart: (...p) => told.parts.push(p), onSimulated: (s) => told.simulated.push(s) }, 50);
  try {
    return { ...told, result: await call(api) };
  } catch (error) {
    return { ...told, error: error as ApiError };
  } finally {
    globalThis.fetch = real;
  }
}

const reply = (body: unknown, status = 200) => () => new Response(typeof body === "string" ? body : JSON.stringify(body), { status });

test("what the API lacks is told apart from what fails", async () => {
  for (const [what, answer, kind, text] of [
    ["a path that it does not know", reply("404 page not found", 404), "absent", "404"],
    ["a path that it does not know, said in JSON", reply({ detail: "Not Found" }, 404), "absent", "404"],
    ["a path for other methods", reply("", 405), "absent", "405"],
    ["a frontend without an API", reply({ error: "route /api to the backend", misrouted: true }, 404), "failed", "route /api to the backend"],
    ["a lost database", reply({ error: "the database cannot be reached" }, 503), "failed", "the database cannot be reached"],
    ["an edge's own page", reply("<html>502", 502), "failed", "502"],
    ["a session that ended", reply("", 401), "login", "signed in"],
    ["too much", reply("", 429), "failed", "Too many requests"],
    ["a page instead of an answer", reply("<!doctype html>", 200), "unexpected", "not JSON"],
    ["something else", reply({ hello: "world" }), "unexpected", "items"],
    ["items of another kind", reply({ items: [{ symbol: "A", price: "1.5" }] }), "unexpected", "items.0.price"],
    ["null", reply(null), "unexpected", "Object"],
    ["no network", () => Promise.reject(new TypeError("Failed to fetch")), "failed", "cannot be reached"],
    ["no answer", () => new Promise<Response>(() => {}), "failed", "in time"],
  ] as const) {
    const { error, parts } = await ask(answer, (api) => api.symbols({}));
    assert.equal(error?.kind, kind, what);
    assert.ok(error?.message.includes(text), `${what}: ${error?.message}`);
    assert.deepEqual(parts, kind === "absent" ? [["symbols", false]] : [], what);
  }
});

test("an API that has too much to do is left alone for as long as it asks", async () => {
  for (const [header, ms] of [["7", 7000], ["86400", 60_000], ["-1", 0], ["Wed, 21 Oct 2026 07:28:00 GMT", 0], [undefined, 0]] as const) {
    const { error } = await ask(() => new Response("", { status: 503, headers: header ? { "Retry-After": header } : {} }), (api) => api.symbols({}));
    assert.equal(error?.waitMs, ms, header);
  }
});

test("a symbol that is not known is no missing part", async () => {
  const { error, parts } = await ask(reply({ error: 'symbol "X" is not known' }, 404), (api) => api.candles("X", "1m", 10));
  assert.equal(error?.kind, "unknown");
  assert.deepEqual(parts, []);
});

test("an answer may lack what a page can do without", async () => {
  const { result, parts, simulated } = await ask(reply({ items: [{ symbol: "A", price: 1.5, extra: true }] }), (api) => api.symbols({}));
  assert.deepEqual(result, { items: [{ symbol: "A", price: 1.5 }], total: 1 });
  assert.deepEqual(parts, [["symbols", true]]);
  assert.deepEqual(simulated, [], "nothing is said of the market");
  const other = await ask(reply({ status: "open", simulated: false }), (api) => api.marketStatus());
  assert.equal(other.result?.status, "open");
  assert.deepEqual(other.simulated, [false]);
  assert.equal((await ask(reply({ simulated: true, name: "x" }), (api) => api.marketStatus())).error?.kind, "unexpected");
});

test("parts come and go", () => {
  notePart("pnl", true);
  assert.equal(lacks("pnl"), false);
  notePart("pnl", false);
  assert.equal(lacks("pnl"), true);
  assert.equal(lacks("candles"), false, "nothing is known of them");
  notePart("pnl", true);
  assert.equal(lacks("pnl"), false);
});

test("the stream says of the market what it says", () => {
  assert.equal(simulated.value, undefined);
  apply({ type: "hello" });
  assert.equal(simulated.value, undefined);
  apply({ type: "hello", simulated: true });
  assert.equal(simulated.value, true);
  apply({ type: "prices", simulated: false, items: [] });
  assert.equal(simulated.value, false);
});
