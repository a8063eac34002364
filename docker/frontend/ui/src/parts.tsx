// Small pieces that several pages are made of.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { ApiError, Quote, Signal } from "./api";
import * as format from "./format";
import { symbolPath } from "./router";
import { askAnew, lacks, now, quote, toggleWatched, watchlist } from "./store";

/** up, down or flat: the class that colours a number. */
export const direction = (value: number): "up" | "down" | "flat" => (value > 0 ? "up" : value < 0 ? "down" : "flat");

// Colour never stands alone: the arrow says the same.
const arrow = { up: "▲", down: "▼", flat: "•" };

export function Change({ value }: { value: number }) {
  const way = direction(Math.abs(value) < 0.005 ? 0 : value);
  return (
    <span class={`change ${way}`}>
      <span class="arrow" aria-hidden="true">
        {arrow[way]}
      </span>
      {format.percent(value)}
    </span>
  );
}

/** A number that lights up for a moment whenever it changes. */
export function Living({ value, text, class: name = "" }: { value: number; text: string; class?: string }) {
  const element = useRef<HTMLSpanElement>(null);
  const last = useRef(value);
  useEffect(() => {
    const way = direction(value - last.current);
    last.current = value;
    if (way === "flat" || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const color = getComputedStyle(element.current!).getPropertyValue(`--flash-${way}`);
    element.current!.animate([{ backgroundColor: color }, { backgroundColor: "transparent" }], { duration: 900, easing: "ease-out" });
  }, [value]);
  return (
    <span ref={element} class={`living ${name}`}>
      {text}
    </span>
  );
}

export function Price({ symbol, fallback }: { symbol: string; fallback?: number }) {
  const value = quote(symbol).value?.price ?? fallback;
  if (value === undefined) return <span class="muted">–</span>;
  return (
    <span data-testid="price" data-symbol={symbol}>
      <Living value={value} text={format.price(value)} />
    </span>
  );
}

export function LiveChange({ symbol, fallback }: { symbol: string; fallback?: number | null }) {
  const value = quote(symbol).value?.change_pct ?? fallback;
  return value == null ? <span class="muted">–</span> : <Change value={value} />;
}

export function SymbolLink({ symbol }: { symbol: string }) {
  return (
    <a class="symbol" href={symbolPath(symbol)}>
      {symbol}
    </a>
  );
}

/** The star of a symbol; nothing where the API keeps no watchlist. */
export function Star({ symbol }: { symbol: string }) {
  const on = watchlist.value.includes(symbol);
  if (lacks("watchlist")) return null;
  return (
    <button
      type="button"
      class={`star ${on ? "on" : ""}`}
      aria-pressed={on}
      aria-label={`${on ? "Remove" : "Add"} ${symbol} ${on ? "from" : "to"} the watchlist`}
      onClick={() => void toggleWatched(symbol)}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M12 3.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8-5.2-2.7-5.2 2.7 1-5.8-4.2-4.1 5.8-.8z" />
      </svg>
    </button>
  );
}

export function Side({ type }: { type: Signal["signal_type"] }) {
  return <span class={`side ${type}`}>{type === "buy" ? "Buy" : "Sell"}</span>;
}

export function Ago({ time }: { time: string }) {
  return (
    <time dateTime={time} title={new Date(time).toLocaleString()}>
      {format.ago(time, now.value)}
    </time>
  );
}

export function Confidence({ value }: { value: number }) {
  return (
    <span class="confidence">
      <meter min={0} max={1} value={value} aria-label="Confidence" />
      {format.share(value)}
    </span>
  );
}

/** A line without axes; values are oldest first. */
export function Spark({ values, label }: { values: number[]; label: string }) {
  const width = 120;
  const height = 32;
  if (values.length < 2) return <span class="spark" aria-hidden="true" />;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const x = (i: number) => ((i / (values.length - 1)) * width).toFixed(1);
  const y = (v: number) => (height - 3 - ((v - low) / span) * (height - 6)).toFixed(1);
  const line = values.map((v, i) => `${x(i)},${y(v)}`).join(" ");
  return (
    <svg class={`spark ${direction(values.at(-1)! - values[0]!)}`} viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <polygon points={`0,${height} ${line} ${width},${height}`} />
      <polyline points={line} />
    </svg>
  );
}

export function Card({ title, aside, class: name = "", children }: { title: string; aside?: ComponentChildren; class?: string; children: ComponentChildren }) {
  return (
    <section class={`card ${name}`}>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** Grey rows in the place of what is still loading. */
export function Skeleton({ rows }: { rows: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, i) => (
        <span key={i} />
      ))}
    </div>
  );
}

export function Empty({ title, children, retry }: { title: string; children?: ComponentChildren; retry?: () => void }) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
      {retry && <Retry onClick={retry} />}
    </div>
  );
}

function Retry({ onClick }: { onClick: () => void }) {
  return (
    <button type="button" class="button" onClick={onClick}>
      Try again
    </button>
  );
}

/** What went wrong, and what the reader can do about it. */
export function Failure({ error, retry }: { error: ApiError; retry: () => void }) {
  const login = error.kind === "login";
  return (
    <div class="failure" role="alert">
      <div>
        <strong>{login ? "You have to sign in" : "This could not be loaded"}</strong>
        <p>{format.sentence(error.message)}</p>
      </div>
      {login ? (
        <button type="button" class="button" onClick={() => location.reload()}>
          Sign in
        </button>
      ) : (
        <Retry onClick={retry} />
      )}
    </div>
  );
}

/** In the place of rows that are not there: why, or that they are on their way. */
export function Waiting({ of, rows }: { of: { error: ApiError | undefined; reload: () => void }; rows: number }) {
  return of.error ? <Failure error={of.error} retry={of.reload} /> : <Skeleton rows={rows} />;
}

/** A page whose subject the API lacks. */
export function Lacking({ what, path, retry }: { what: string; path: string; retry: () => void }) {
  const again = () => {
    askAnew();
    retry();
  };
  return (
    <section class="card">
      <Empty title={`This API has no ${what}`} retry={again}>
        It does not know <code>{path}</code>. This page fills by itself once the API offers it.
      </Empty>
    </section>
  );
}

export function QuoteRow({ item }: { item: Quote }) {
  return (
    <li class="row">
      <SymbolLink symbol={item.symbol} />
      <span class="number">
        <Price symbol={item.symbol} fallback={item.price} />
      </span>
      <span class="number wide">
        <LiveChange symbol={item.symbol} fallback={item.change_pct} />
      </span>
    </li>
  );
}
