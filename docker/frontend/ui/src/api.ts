// The backend's REST API as the pages use it. Field names are the API's own. What an
// answer may lack is told by its schema: a page leaves out what is not there, and says
// so when an answer is something else altogether.
import * as v from "valibot";

/** What the API may offer or lack; a page leaves out the parts that are lacking. */
export type Part = "status" | "symbols" | "candles" | "latest" | "active" | "positions" | "pnl" | "watchlist";

/** The last known price of a symbol and how it moved; change_pct in percent: 1.5 is +1.5 %. */
export const quoteSchema = v.object({
  symbol: v.string(),
  price: v.number(),
  change_pct: v.nullish(v.number()),
  volume: v.nullish(v.number()),
  ts: v.nullish(v.string()),
});
export type Quote = v.InferOutput<typeof quoteSchema>;

export const pnlSchema = v.object({ realized: v.number(), unrealized: v.number(), total: v.number() });
export type PnL = v.InferOutput<typeof pnlSchema>;

const equityPoint = v.object({ ts: v.string(), realized: v.number(), unrealized: v.number() });
export type EquityPoint = v.InferOutput<typeof equityPoint>;

const statusFields = {
  /** open while prices come in, stale when they stopped, waiting before the first. */
  status: v.nullish(v.string()),
  updated_at: v.nullish(v.string()),
  symbols: v.nullish(v.number()),
  advancers: v.nullish(v.number()),
  decliners: v.nullish(v.number()),
  unchanged: v.nullish(v.number()),
  top_gainers: v.nullish(v.array(quoteSchema)),
  top_losers: v.nullish(v.array(quoteSchema)),
  active_signals: v.nullish(v.number()),
  /** Share of scored signals that were right, 0 to 1; null before any was scored. */
  signal_accuracy: v.nullish(v.number()),
  /** What the engine does with signals: off, paper or refused. */
  trading: v.nullish(v.string()),
  pnl: v.nullish(pnlSchema),
};
// An object of other things is no status, though every single field may be missing.
const marketStatus = v.pipe(
  v.object(statusFields),
  v.check((s) => Object.values(s).some((value) => value !== undefined), "none of the fields of a market status is there"),
);
export type MarketStatus = v.InferOutput<typeof marketStatus>;

export type Side = "buy" | "sell";

export const signalSchema = v.object({
  id: v.number(),
  symbol: v.string(),
  signal_type: v.picklist(["buy", "sell"]),
  indicator: v.nullish(v.string()),
  /** 0 to 1. */
  confidence: v.nullish(v.number()),
  price: v.nullish(v.number()),
  ts: v.string(),
  status: v.nullish(v.string()),
  outcome_pct: v.nullish(v.number()),
});
export type Signal = v.InferOutput<typeof signalSchema>;

export const positionSchema = v.object({
  symbol: v.string(),
  quantity: v.number(),
  entry_price: v.number(),
  price: v.number(),
  pnl: v.number(),
});
export type Position = v.InferOutput<typeof positionSchema>;

const candle = v.object({ ts: v.string(), open: v.number(), high: v.number(), low: v.number(), close: v.number(), volume: v.nullish(v.number()) });
export type Candle = v.InferOutput<typeof candle>;

const page = <T extends v.GenericSchema>(item: T) =>
  v.pipe(
    v.object({ items: v.array(item), total: v.nullish(v.number()) }),
    v.transform(({ items, total }) => ({ items, total: total ?? items.length })),
  );

const symbolList = v.object({ symbols: v.array(v.string()) });

export const intervals = ["1m", "5m", "15m", "1h"] as const;
export type Interval = (typeof intervals)[number];
export const intervalSeconds: Record<Interval, number> = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600 };

/**
 * Why something could not be had: the API lacks it, does not know the thing that was
 * asked for, wants a login, answered what is not understood, or failed.
 */
export type Trouble = "absent" | "unknown" | "login" | "unexpected" | "failed";

/** A failure that the reader can be told. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly kind: Trouble,
    /** How long the API wants to be left alone, in milliseconds. */
    readonly waitMs = 0,
  ) {
    super(message);
  }
}

/** What a page cannot make sense of is told like a failure of the API. */
export const asApiError = (reason: unknown): ApiError => (reason instanceof ApiError ? reason : new ApiError((reason as Error).message, "unexpected"));

/** What the API tells beside the answers themselves. */
export interface Listener {
  /** The API was found to have the part, or to lack it. */
  onPart: (part: Part, present: boolean) => void;
  /** An answer said whether the market is simulated. */
  onSimulated: (simulated: boolean) => void;
}

type Query = Record<string, string | number | undefined>;

export class Api {
  constructor(
    private readonly baseUrl: string,
    private readonly listener: Listener,
    private readonly timeoutMs = 10_000,
  ) {}

  marketStatus = (signal?: AbortSignal) => this.get("status", marketStatus, "/api/market/status", {}, signal);

  symbols = (query: { query?: string; sort?: string; limit?: number; offset?: number }, signal?: AbortSignal) =>
    this.get("symbols", page(quoteSchema), "/api/symbols", query, signal);

  candles = (symbol: string, interval: Interval, limit: number, signal?: AbortSignal) =>
    this.get("candles", page(candle), `/api/symbols/${encodeURIComponent(symbol)}/candles`, { interval, limit }, signal);

  signals = (which: "latest" | "active", query: { symbol?: string; type?: Side; limit?: number }, signal?: AbortSignal) =>
    this.get(which, page(signalSchema), `/api/signals/${which}`, query, signal);

  positions = (signal?: AbortSignal) => this.get("positions", page(positionSchema), "/api/positions", {}, signal);

  pnlHistory = (interval: Interval, limit: number, signal?: AbortSignal) => this.get("pnl", page(equityPoint), "/api/pnl", { interval, limit }, signal);

  watchlist = (signal?: AbortSignal) => this.get("watchlist", symbolList, "/api/watchlist", {}, signal);

  saveWatchlist = (symbols: string[]) =>
    this.request("watchlist", symbolList, "/api/watchlist", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ symbols }) });

  private get<T extends v.GenericSchema>(part: Part, schema: T, path: string, query: Query, signal?: AbortSignal): Promise<v.InferOutput<T>> {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== "") params.set(name, String(value));
    }
    const search = params.size > 0 ? `?${params}` : "";
    return this.request(part, schema, path + search, { signal });
  }

  private async request<T extends v.GenericSchema>(part: Part, schema: T, path: string, init: RequestInit): Promise<v.InferOutput<T>> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), this.timeoutMs);
    init.signal?.addEventListener("abort", () => timeout.abort());
    try {
      const response = await fetch(this.baseUrl + path, { ...init, headers: { Accept: "application/json", ...init.headers }, signal: timeout.signal });
      if (!response.ok) throw await refusal(part, response);
      const answer = await json(response);
      const result = v.safeParse(schema, answer, { abortEarly: true });
      if (!result.success) throw new ApiError(`The API's answer is not understood: ${issue(result.issues[0])}.`, "unexpected");
      const { simulated } = answer as { simulated?: unknown };
      if (typeof simulated === "boolean") this.listener.onSimulated(simulated);
      this.listener.onPart(part, true);
      return result.output;
    } catch (error) {
      if (init.signal?.aborted) throw error;
      if (error instanceof ApiError) {
        if (error.kind === "absent") this.listener.onPart(part, false);
        throw error;
      }
      throw new ApiError(timeout.signal.aborted ? "The API did not answer in time." : "The API cannot be reached.", "failed");
    } finally {
      clearTimeout(timer);
    }
  }
}

// A site that answers every path with its page, or a login's form, is no API.
async function json(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("The API's answer is not understood: it is not JSON.", "unexpected");
  }
}

function issue(first: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(first);
  return path ? `${path} is ${first.received}, not ${first.expected ?? "what it should be"}` : first.message.charAt(0).toLowerCase() + first.message.slice(1);
}

async function refusal(part: Part, response: Response): Promise<ApiError> {
  let reason: string | undefined;
  let misrouted = false;
  try {
    const body = (await response.json()) as { error?: unknown; misrouted?: unknown };
    if (typeof body.error === "string") reason = body.error;
    misrouted = body.misrouted === true;
  } catch {
    // The edge answers some failures with its own page instead of JSON.
  }
  const status = response.status;
  // Asked for one symbol, an API that has candles may not know the symbol.
  if (status === 404 && part === "candles" && reason) return new ApiError(reason, "unknown");
  // Without a route to the API nothing is known of what it has.
  if ([404, 405, 410, 501].includes(status) && !misrouted) return new ApiError(`The API has no such part: it answered ${status}.`, "absent");
  if (status === 401 || status === 403) return new ApiError(reason ?? "You are not signed in, or may not see this.", "login");
  const seconds = Number(response.headers.get("Retry-After")) || 0; // a date is not believed
  const wait = Math.max(0, Math.min(60, seconds)) * 1000;
  if (status === 429) return new ApiError("Too many requests: wait a moment.", "failed", wait);
  return new ApiError(reason ?? `The API answered ${status}.`, "failed", wait);
}
