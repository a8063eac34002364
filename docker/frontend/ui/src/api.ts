// The backend's REST API as the pages use it. Field names are the API's own.

/** The last known price of a symbol and how it moved. */
export interface Quote {
  symbol: string;
  price: number;
  /** Percent: 1.5 is +1.5 %. */
  change_pct: number;
  volume: number;
  ts: string;
}

export interface PnL {
  realized: number;
  unrealized: number;
  total: number;
  equity: number;
  exposure: number;
  open_positions: number;
}

export interface EquityPoint {
  ts: string;
  realized: number;
  unrealized: number;
}

export interface MarketStatus {
  simulated: boolean;
  /** open while prices come in, stale when they stopped, waiting before the first. */
  status: string;
  updated_at: string;
  symbols: number;
  advancers: number;
  decliners: number;
  unchanged: number;
  top_gainers: Quote[];
  top_losers: Quote[];
  active_signals: number;
  /** Share of scored signals that were right, 0 to 1; null before any was scored. */
  signal_accuracy: number | null;
  /** What the engine does with signals: off, paper or refused. */
  trading: string;
  pnl: PnL;
}

export type Side = "buy" | "sell";

export interface Signal {
  id: number;
  symbol: string;
  signal_type: Side;
  indicator: string;
  /** 0 to 1. */
  confidence: number;
  price: number;
  ts: string;
  status: string;
  outcome_pct: number | null;
}

export interface Position {
  symbol: string;
  quantity: number;
  entry_price: number;
  price: number;
  pnl: number;
  opened_at: string;
}

export interface Candle {
  ts: string;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

export interface Page<T> {
  items: T[];
  total: number;
}

export const intervals = ["1m", "5m", "15m", "1h"] as const;
export type Interval = (typeof intervals)[number];
export const intervalSeconds: Record<Interval, number> = { "1m": 60, "5m": 300, "15m": 900, "1h": 3600 };

/** A failure that the reader can be told. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

type Query = Record<string, string | number | undefined>;

export class Api {
  constructor(private readonly baseUrl: string) {}

  marketStatus = (signal?: AbortSignal) => this.get<MarketStatus>("/api/market/status", {}, signal);

  symbols = (query: { query?: string; sort?: string; limit?: number; offset?: number }, signal?: AbortSignal) =>
    this.get<Page<Quote>>("/api/symbols", query, signal);

  candles = (symbol: string, interval: Interval, limit: number, signal?: AbortSignal) =>
    this.get<Page<Candle>>(`/api/symbols/${encodeURIComponent(symbol)}/candles`, { interval, limit }, signal);

  signals = (
    which: "latest" | "active",
    query: { symbol?: string; type?: Side; limit?: number },
    signal?: AbortSignal,
  ) => this.get<Page<Signal>>(`/api/signals/${which}`, query, signal);

  positions = (signal?: AbortSignal) => this.get<Page<Position>>("/api/positions", {}, signal);

  pnlHistory = (interval: Interval, limit: number, signal?: AbortSignal) => this.get<Page<EquityPoint>>("/api/pnl", { interval, limit }, signal);

  watchlist = (signal?: AbortSignal) => this.get<{ symbols: string[] }>("/api/watchlist", {}, signal);

  saveWatchlist = (symbols: string[]) =>
    this.request<{ symbols: string[] }>("/api/watchlist", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ symbols }) });

  private get<T>(path: string, query: Query, signal?: AbortSignal): Promise<T> {
    const params = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== "") params.set(name, String(value));
    }
    const search = params.size > 0 ? `?${params}` : "";
    return this.request<T>(path + search, { signal });
  }

  private async request<T>(path: string, init: RequestInit): Promise<T> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), 10_000);
    init.signal?.addEventListener("abort", () => timeout.abort());
    try {
      const response = await fetch(this.baseUrl + path, { ...init, signal: timeout.signal });
      if (!response.ok) throw new ApiError(await reason(response), response.status);
      return (await response.json()) as T;
    } catch (error) {
      if (error instanceof ApiError || init.signal?.aborted) throw error;
      throw new ApiError(timeout.signal.aborted ? "The service did not answer in time." : "The service cannot be reached.", 0);
    } finally {
      clearTimeout(timer);
    }
  }
}

async function reason(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: unknown };
    if (typeof body.error === "string") return body.error;
  } catch {
    // The edge answers some failures with its own page instead of JSON.
  }
  if (response.status === 429) return "Too many requests: wait a moment.";
  return `The service answered ${response.status}.`;
}
