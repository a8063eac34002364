// What the pages share: the runtime settings, and everything that the stream keeps
// current. Each symbol has a signal of its own, so a price that moves redraws the
// cells that show it and nothing else.
import { batch, signal, type Signal as Cell } from "@preact/signals";
import * as v from "valibot";
import { Api, asApiError, type ApiError, type MarketStatus, type Part, type PnL, pnlSchema, type Position, positionSchema, type Quote, quoteSchema, type Signal, signalSchema } from "./api";
import { openStream, type Connection, type Stream } from "./stream";

export interface Settings {
  apiBaseUrl: string;
  wsPath: string;
  dashboardUrl: string;
  grafanaUrl: string;
  environment: string;
}

export const connection = signal<Connection>("connecting");
/** Grows whenever the stream came back and may have missed something: what was read before may be stale. */
export const epoch = signal(0);
/** What the API was found to have (true) or to lack (false); pages leave the latter out. */
export const offered = signal<ReadonlyMap<Part, boolean>>(new Map());
/** Whether the API was found to lack a part. */
export const lacks = (part: Part): boolean => offered.value.get(part) === false;
/** Whether the market is simulated, as far as the API says so. */
export const simulated = signal<boolean | undefined>(undefined);
export const status = signal<MarketStatus | undefined>(undefined);
export const statusError = signal<ApiError | undefined>(undefined);
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
      if (!known?.ts || !item.ts || Date.parse(item.ts) >= Date.parse(known.ts)) cell.value = item;
    }
  });
}

/** Notes whether the API has a part. */
export function notePart(part: Part, present: boolean): void {
  if (offered.peek().get(part) !== present) offered.value = new Map(offered.peek()).set(part, present);
}

const freshLength = 100;

const frames = {
  prices: v.object({ items: v.array(quoteSchema) }),
  positions: v.object({ items: v.array(positionSchema) }),
  pnl: v.object({ pnl: pnlSchema }),
  signal: v.object({ signal: signalSchema }),
};

/** Applies one frame of the stream. Frames that are not understood are left alone. */
export function apply(message: unknown): void {
  if (typeof message !== "object" || message === null) return;
  const { type, simulated: said } = message as { type?: unknown; simulated?: unknown };
  batch(() => {
    if (typeof said === "boolean") simulated.value = said;
    if (type === "prices" && v.is(frames.prices, message)) learn(message.items);
    if (type === "positions" && v.is(frames.positions, message)) positions.value = message.items;
    if (type === "pnl" && v.is(frames.pnl, message)) pnl.value = message.pnl;
    if (type === "signal" && v.is(frames.signal, message)) {
      const fresh = message.signal;
      freshSignals.value = [fresh, ...freshSignals.peek().filter((s) => s.id !== fresh.id)].slice(0, freshLength);
    }
  });
}

/** Forgets what the API lacks: it may have come by now. */
export function askAnew(): void {
  offered.value = new Map();
  void refreshStatus();
}

/** Asks for the market's status now. */
export async function refreshStatus(): Promise<void> {
  try {
    const value = await api.marketStatus();
    batch(() => {
      // The service is back, so the stream may be, too.
      if (statusError.peek()) stream?.hurry();
      status.value = value;
      statusError.value = undefined;
      learn([...(value.top_gainers ?? []), ...(value.top_losers ?? [])]);
      if (value.pnl && (!pnl.peek() || connection.peek() !== "live")) pnl.value = value.pnl;
    });
  } catch (reason) {
    const error = asApiError(reason);
    batch(() => {
      statusError.value = error;
      if (error.kind === "absent") status.value = undefined;
    });
  }
}

// Until the stored list is known, saving would overwrite it.
let watchlistKnown = false;

async function readWatchlist(): Promise<boolean> {
  try {
    watchlist.value = (await api.watchlist()).symbols;
    watchlistError.value = undefined;
    watchlistKnown = true;
  } catch (reason) {
    const error = asApiError(reason);
    // Lists tell themselves that one has to sign in.
    watchlistError.value = error.kind === "absent" || error.kind === "login" ? undefined : `The watchlist could not be read: ${error.message}`;
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
    watchlistError.value = `The watchlist was not saved: ${(error as Error).message}`;
  }
}

const pollMs = 5_000;
/** What the API lacks is asked for once in so many polls: it may come with an update. */
const absentPolls = 12;

/** Reads the runtime settings and starts everything that keeps the store current. */
export async function start(): Promise<void> {
  const response = await fetch("/config.json");
  if (!response.ok) throw new Error(`/config.json answered ${response.status}`);
  settings = (await response.json()) as Settings;
  api = new Api(settings.apiBaseUrl, { onPart: notePart, onSimulated: (said) => (simulated.value = said) });

  const url = new URL(settings.apiBaseUrl + settings.wsPath, location.origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  stream = openStream({
    url: url.href,
    onMessage: apply,
    onConnection: (state) => (connection.value = state),
    onMissed: () => {
      epoch.value++;
      void refreshStatus();
    },
  });

  setInterval(() => (now.value = Date.now()), pollMs);
  let polls = 0;
  const refresh = () => {
    const wants = (part: Part) => !lacks(part) || polls % absentPolls === 0;
    if (wants("status")) void refreshStatus();
    if (!watchlistKnown && wants("watchlist")) void readWatchlist();
    polls++;
  };
  setInterval(refresh, pollMs);
  refresh();
}
