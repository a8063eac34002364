import { useEffect, useRef, useState } from "preact/hooks";
import { intervals, intervalSeconds, type Candle, type Interval, type Signal } from "./api";
import type { CandleChart } from "./chart";
import * as format from "./format";
import { Card, Change, Empty, Lacking, Price, Star, Waiting } from "./parts";
import { useResource } from "./resource";
import { address, setQuery } from "./router";
import { merge, SignalTable } from "./signals";
import { api, freshSignals, learn, quote } from "./store";

const candles = 300;

export function SymbolPage({ symbol }: { symbol: string }) {
  const chosen = address.value.query.get("interval");
  const interval: Interval = intervals.find((i) => i === chosen) ?? "1m";
  const history = useResource(`${symbol} ${interval}`, (abort) => api.candles(symbol, interval, candles, abort), 60_000);
  const signals = useResource(`signals ${symbol}`, (abort) => api.signals("latest", { symbol, limit: 50 }, abort), 10_000);
  // The stream brings the price sooner or later; this brings it at once.
  useResource(`quote ${symbol}`, async (abort) => learn((await api.symbols({ query: symbol, limit: 1 }, abort)).items));

  const items = merge(freshSignals.value.filter((s) => s.symbol === symbol), signals.data?.items ?? []);
  const last = history.data?.items.at(-1);
  const unknown = history.error?.kind === "unknown";
  if (history.absent && signals.absent) {
    return (
      <>
        <Title symbol={symbol} />
        <Lacking what="candles and no signals" path={`/api/symbols/${symbol}/candles`} retry={history.reload} />
      </>
    );
  }
  return (
    <>
      <Title symbol={symbol} close={last?.close} />
      {!history.absent && (
        <Card title="Price" class="chart-card" aside={!unknown && <Intervals chosen={interval} />}>
          {unknown ? (
            <Empty title={`There is no symbol ${symbol}`}>
              <a href="/symbols">See the markets that there are</a>
            </Empty>
          ) : (
            !history.data && <Waiting of={history} rows={10} />
          )}
          {history.data?.items.length === 0 && <Empty title={`No candles of ${symbol}`}>Either the symbol does not exist, or it has no prices in this range yet.</Empty>}
          {history.data && history.data.items.length > 0 && <Chart key={symbol + interval} symbol={symbol} interval={interval} items={history.data.items} signals={items} />}
        </Card>
      )}
      {!signals.absent && !unknown && (
        <Card title="Signals" aside={items.length > 0 && <span class="muted small">{format.count(items.length)} latest</span>}>
          {!signals.data && <Waiting of={signals} rows={5} />}
          {signals.data && items.length === 0 && <Empty title={`No signal for ${symbol} yet`} />}
          {signals.data && items.length > 0 && <SignalTable items={items.slice(0, 20)} ofOneSymbol />}
        </Card>
      )}
    </>
  );
}

function Title({ symbol, close }: { symbol: string; close?: number }) {
  const current = quote(symbol).value;
  const change = current?.change_pct;
  return (
    <header class="title">
      <Star symbol={symbol} />
      <h1>{symbol}</h1>
      {(current || close !== undefined) && (
        <div class="quote">
          <p class="big" data-testid="last">
            <Price symbol={symbol} fallback={close} />
          </p>
          {change != null && <Change value={change} />}
        </div>
      )}
    </header>
  );
}

function Intervals({ chosen }: { chosen: Interval }) {
  return (
    <div class="choice" role="group" aria-label="Candle length">
      <div>
        {intervals.map((i) => (
          <label key={i}>
            <input type="radio" name="interval" checked={i === chosen} onChange={() => setQuery({ interval: i === "1m" ? "" : i })} />
            <span>{i}</span>
          </label>
        ))}
      </div>
    </div>
  );
}

function Chart({ symbol, interval, items, signals }: { symbol: string; interval: Interval; items: Candle[]; signals: Signal[] }) {
  const element = useRef<HTMLDivElement>(null);
  const [chart, setChart] = useState<CandleChart>();
  const [hovered, setHovered] = useState<Candle>();
  const [latest, setLatest] = useState<Candle>();
  const current = quote(symbol).value;

  useEffect(() => {
    let made: CandleChart | undefined;
    let gone = false;
    void import("./chart").then(({ CandleChart }) => {
      if (gone) return;
      made = new CandleChart(element.current!, setHovered);
      setChart(made);
    });
    const themes = new MutationObserver(() => made?.recolor());
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      gone = true;
      themes.disconnect();
      made?.remove();
    };
  }, []);
  useEffect(() => chart?.show(items, intervalSeconds[interval]), [chart, items, interval]);
  useEffect(() => chart?.mark(signals), [chart, items, signals.map((s) => s.id).join()]);
  useEffect(() => setLatest(current && chart?.tick(current)), [chart, items, current]);

  const shown = hovered ?? latest ?? items.at(-1)!;
  return (
    <>
      <dl class="ohlc">
        {(["open", "high", "low", "close"] as const).map((field) => (
          <div key={field}>
            <dt>{field}</dt>
            <dd>{format.price(shown[field])}</dd>
          </div>
        ))}
        {shown.volume != null && (
          <div>
            <dt>volume</dt>
            <dd>{format.compact(shown.volume)}</dd>
          </div>
        )}
        <div class="zone">
          <dt class="hidden">time zone</dt>
          <dd>UTC</dd>
        </div>
      </dl>
      <div ref={element} class="chart" data-testid="chart" role="img" aria-label={`Candles of ${symbol}, ${interval} each, the latest at ${format.price(shown.close)}`} />
    </>
  );
}
