import assert from "node:assert/strict";
import { test } from "node:test";
import type { Quote, Signal } from "./api";
import * as format from "./format";
import { parse, symbolPath } from "./router";
import { merge } from "./signals";
import { apply, freshSignals, learn, pnl, quote } from "./store";
import { backoff, openStream } from "./stream";

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

test("attempts to reconnect come ever later, up to half a minute", () => {
  assert.deepEqual([0, 1, 2].map((n) => backoff(n, 0)), [500, 1000, 2000]);
  assert.equal(backoff(60, 0), 30_000);
  assert.equal(backoff(60, 1), 15_000);
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
  for (const frame of [null, 7, "text", [], {}, { type: "prices" }, { type: "pnl" }, { type: "new", pnl: {} }]) apply(frame);
  assert.equal(pnl.value, before);
});

class Socket {
  static made: Socket[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: () => void;
  readyState = 0;
  sent: string[] = [];
  constructor(readonly url: string) {
    Socket.made.push(this);
  }
  open() {
    this.readyState = 1;
    this.onopen!();
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

test("a stream that falls silent is asked for a sign, then opened again", async () => {
  const real = globalThis.WebSocket;
  globalThis.WebSocket = Socket as unknown as typeof WebSocket;
  const states: string[] = [];
  const messages: unknown[] = [];
  const stream = openStream({ url: "wss://x/ws", silenceMs: 20, onMessage: (m) => messages.push(m), onConnection: (s) => states.push(s) });
  try {
    const first = Socket.made[0]!;
    stream.subscribe(["A"]);
    assert.deepEqual(first.sent, [], "nothing can be sent before the stream is open");
    first.open();
    first.onmessage!({ data: '{"a":1}' });
    first.onmessage!({ data: "no JSON" });
    assert.deepEqual(messages, [{ a: 1 }]);
    assert.deepEqual(first.sent, ['{"subscribe":["A"]}']);

    await until(() => first.sent.length === 2);
    assert.deepEqual(states, ["connecting", "live", "live"], "a silent stream that may still answer is no broken one");
    await until(() => Socket.made.length === 2);
    assert.equal(first.readyState, 3, "the silent one is closed");

    const second = Socket.made[1]!;
    first.onmessage!({ data: '{"late":true}' });
    second.open();
    second.onmessage!({ data: '{"b":2}' });
    assert.deepEqual(messages, [{ a: 1 }, { b: 2 }]);
    assert.equal(second.sent[0], '{"subscribe":["A"]}', "what was asked for is asked for again");
    assert.equal(states.at(-1), "live");
    assert.ok(states.includes("reconnecting"));
  } finally {
    stream.close();
    globalThis.WebSocket = real;
  }
  const told = states.length;
  Socket.made.at(-1)!.onclose!();
  assert.equal(states.length, told, "a closed stream stays closed");
});
