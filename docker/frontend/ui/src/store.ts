// What the pages share: the runtime settings, and everything that the stream keeps
// current. Each symbol has a signal of its own, so a price that moves redraws the
// cells that show it and nothing else.
import { batch, signal, type Signal as Cell } from "@preact/signals";
import { Api, type MarketStatus, type PnL, type Position, type Quote, type Signal } from "./api";
import { openStream, type Connection, type Stream } from "./stream";

export interface Settings {
  apiBaseUrl: string;
  wsPath: string;
  dashboardUrl: string;
  grafanaUrl: string;
  environment: string;
}

export const connection = signal<Connection>("connecting");
/** Grows whenever the stream came back: what was read before it may be stale. */
export const epoch = signal(0);
export const status = signal<MarketStatus | undefined>(undefined);
export const statusError = signal<string | undefined>(undefined);
export const pnl = signal<PnL | undefined>(undefined);
/** Open positions as the stream last told them; undefined before it did. */
export const positions = signal<Position[] | undefined>(undefined);
/** Signals that arrived by the stream, newest first. */
export const freshSignals = signal<Signal[]>([]);
export const watchlist = signal<string[]>([]);
export const watchlistError = signal<string | undefined>(undefined);
/** The present moment, for relative times. */
export const now = signal(Date.now());

export let settings: Settings;
export let api: Api;

const quotes = new Map<string, Cell<Quote | undefined>>();

/** The quote of a symbol, which the stream is asked to keep current while something shows it. */
export function quote(symbol: string): Cell<Quote | undefined> {
  let cell = quotes.get(symbol);
  if (!cell) {
    const show = (on: boolean) => () => {
      if (on) shown.add(symbol);
      else shown.delete(symbol);
      subscribeSoon();
    };
    cell = signal<Quote | undefined>(undefined, { watched: show(true), unwatched: show(false) });
    quotes.set(symbol, cell);
  }
  return cell;
}

let stream: Stream | undefined;
const shown = new Set<string>();
// The stream takes no more at once.
const longestSubscription = 500;
let subscription = "";
let subscribing: ReturnType<typeof setTimeout> | undefined;

// A page that appears shows its symbols one after the other; they are asked for
// together.
function subscribeSoon(): void {
  clearTimeout(subscribing);
  subscribing = setTimeout(() => {
    const symbols = [...shown].slice(0, longestSubscription);
    const key = [...symbols].sort().join();
    if (key === subscription) return;
    subscription = key;
    stream?.subscribe(symbols);
  }, 150);
}

/** Takes quotes in, keeping what is newer. */
export function learn(items: Quote[]): void {
  batch(() => {
    for (const item of items) {
      const cell = quote(item.symbol);
      const known = cell.peek();
      if (!known || Date.parse(item.ts) >= Date.parse(known.ts)) cell.value = item;
    }
  });
}

const freshLength = 100;

/** Applies one frame of the stream. Frames of unknown type are left alone. */
export function apply(message: unknown): void {
  if (typeof message !== "object" || message === null) return;
  const frame = message as { type?: string; items?: unknown[]; signal?: Signal; pnl?: PnL };
  batch(() => {
    if (frame.type === "prices" && frame.items) learn(frame.items as Quote[]);
    if (frame.type === "positions" && frame.items) positions.value = frame.items as Position[];
    if (frame.type === "pnl" && frame.pnl) pnl.value = frame.pnl;
    if (frame.type === "signal" && frame.signal) {
      const fresh = frame.signal;
      freshSignals.value = [fresh, ...freshSignals.peek().filter((s) => s.id !== fresh.id)].slice(0, freshLength);
    }
  });
}

async function refreshStatus(): Promise<void> {
  try {
    const value = await api.marketStatus();
    batch(() => {
      status.value = value;
      statusError.value = undefined;
      learn([...value.top_gainers, ...value.top_losers]);
      if (!pnl.peek() || connection.peek() !== "live") pnl.value = value.pnl;
    });
  } catch (error) {
    statusError.value = (error as Error).message;
  }
}

// Until the stored list is known, saving would overwrite it.
let watchlistKnown = false;

async function readWatchlist(): Promise<boolean> {
  try {
    watchlist.value = (await api.watchlist()).symbols;
    watchlistError.value = undefined;
    watchlistKnown = true;
  } catch (error) {
    watchlistError.value = `The watchlist could not be read. ${(error as Error).message}`;
  }
  return watchlistKnown;
}

/** Stars or unstars a symbol; a star that could not be stored is taken back. */
export async function toggleWatched(symbol: string): Promise<void> {
  if (!watchlistKnown && !(await readWatchlist())) return;
  const before = watchlist.peek();
  const after = before.includes(symbol) ? before.filter((s) => s !== symbol) : [...before, symbol];
  watchlist.value = after;
  try {
    await api.saveWatchlist(after);
    watchlistError.value = undefined;
  } catch (error) {
    watchlist.value = before;
    watchlistError.value = `The watchlist was not saved. ${(error as Error).message}`;
  }
}

/** Reads the runtime settings and starts everything that keeps the store current. */
export async function start(): Promise<void> {
  const response = await fetch("/config.json");
  if (!response.ok) throw new Error(`/config.json answered ${response.status}`);
  settings = (await response.json()) as Settings;
  api = new Api(settings.apiBaseUrl);

  const url = new URL(settings.apiBaseUrl + settings.wsPath, location.origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  stream = openStream({
    url: url.href,
    onMessage: apply,
    onConnection: (state) => {
      const before = connection.peek();
      if (before === state) return;
      connection.value = state;
      if (before === "reconnecting" && state === "live") {
        epoch.value++;
        void refreshStatus();
      }
    },
  });

  setInterval(() => (now.value = Date.now()), 5_000);
  const refresh = () => {
    void refreshStatus();
    if (!watchlistKnown) void readWatchlist();
  };
  setInterval(refresh, 5_000);
  refresh();
}
