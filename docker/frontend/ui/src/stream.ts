// The price stream: one WebSocket that is opened again whenever it breaks, and that
// asks for what it missed. Prices, positions and PnL replace what was said before; only
// signals are told once, and have numbers: their IDs.

/** silent: no stream has ever answered, so there may be none. */
export type Connection = "connecting" | "live" | "reconnecting" | "silent";

interface Options {
  url: string;
  onMessage: (message: unknown) => void;
  onConnection: (state: Connection) => void;
  /** Messages may have been missed: what was read before may be stale. */
  onMissed: () => void;
  /** How long the stream may be silent before it is asked for a sign, and again before it counts as broken. */
  silenceMs?: number;
  /** How long a connection has to last until the next attempt counts as the first again. */
  settleMs?: number;
}

export interface Stream {
  /** Asks for the prices of these symbols, now and after each reconnect; of the most traded ones if there are none. */
  subscribe: (symbols: string[]) => void;
  /** The service answers again: a long wait for the next attempt is cut short. */
  hurry: () => void;
  close: () => void;
}

const shortestMs = 100;
const longestMs = 30_000;

/**
 * How long to wait before the given attempt (0 is the first): up to a second, doubling
 * to half a minute, and any time from a tenth of a second up to that at random, so that
 * the browsers cut off by one rollout or one crash do not all come back at once.
 */
export function backoff(attempt: number, random: number): number {
  return shortestMs + (Math.min(longestMs, 1000 * 2 ** attempt) - shortestMs) * random;
}

/**
 * How long a server that closed the stream wants to be left alone, in milliseconds. It
 * may say so in the reason of an orderly close, as in "retry-after=3": 1001 (it goes
 * away), 1012 (it restarts) and 1013 (try again later). At most a minute is believed.
 */
export function askedToWait(code: number, reason: string): number {
  if (code !== 1001 && code !== 1012 && code !== 1013) return 0;
  const seconds = /retry-after[=: ]+(\d+(?:\.\d+)?)/i.exec(reason)?.[1];
  return seconds ? Math.min(60, Number(seconds)) * 1000 : 0;
}

/** Attempts that failed before a stream that never answered counts as silent. */
const patience = 4;

/** Opens the stream and keeps it open until it is closed. */
export function openStream({ url, onMessage, onConnection, onMissed, silenceMs = 15_000, settleMs = 10_000 }: Options): Stream {
  let socket: WebSocket | undefined;
  let wanted: string[] = [];
  let attempt = 0;
  let answered = false;
  let unanswered = 0;
  let closed = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let settled: ReturnType<typeof setTimeout> | undefined;
  const progress = new Progress(onMissed);

  const ask = () => {
    if (socket?.readyState === 1) socket.send(JSON.stringify({ subscribe: wanted }));
  };

  const again = (leaveAloneMs = 0) => {
    if (closed) return;
    silence.stop();
    clearTimeout(settled);
    clearTimeout(retry);
    socket = undefined;
    onConnection(answered ? "reconnecting" : ++unanswered < patience ? "connecting" : "silent");
    retry = setTimeout(connect, leaveAloneMs + backoff(attempt++, Math.random()));
  };

  const silence = new Silence(silenceMs, ask, () => {
    const silent = socket;
    again();
    silent?.close();
  });

  const connect = () => {
    clearTimeout(retry);
    const current = new WebSocket(progress.address(url));
    let greeted = false;
    socket = current;
    silence.watch();
    current.onopen = () => {
      if (socket === current && wanted.length > 0) ask();
    };
    current.onmessage = (event) => {
      if (socket !== current) return;
      silence.watch();
      const message = parsed(String(event.data));
      if (!greeted) {
        greeted = true;
        settled = setTimeout(() => (attempt = 0), settleMs);
        progress.greet(message, answered);
        answered = true;
        onConnection("live");
      }
      progress.note(message);
      if (message !== undefined) onMessage(message);
    };
    current.onclose = (event) => {
      if (socket === current) again(askedToWait(event.code, event.reason));
    };
  };

  const hurry = () => {
    if (socket !== undefined || closed) return;
    clearTimeout(retry);
    attempt = 0;
    retry = setTimeout(connect, backoff(0, Math.random()));
  };
  globalThis.addEventListener?.("online", hurry);
  onConnection("connecting");
  connect();

  const subscribe = (symbols: string[]) => {
    wanted = symbols;
    ask();
  };
  const close = () => {
    closed = true;
    silence.stop();
    clearTimeout(settled);
    clearTimeout(retry);
    globalThis.removeEventListener?.("online", hurry);
    socket?.close();
  };
  return { subscribe, hurry, close };
}

/** The message, or undefined for what is not ours to show: the next one may be fine. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Notices a connection that was cut without a word (a phone that changes networks): it
 * never closes by itself, but it falls silent. So does one whose market has stopped: that
 * one answers when it is asked again.
 */
class Silence {
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly ms: number,
    private readonly ask: () => void,
    private readonly broken: () => void,
  ) {}

  /** Something was heard. */
  watch(): void {
    this.stop();
    this.timer = setTimeout(() => {
      this.ask();
      this.timer = setTimeout(this.broken, this.ms);
    }, this.ms);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

/** How far the signals have come, so that a stream that is opened again goes on there. */
class Progress {
  /**
   * The ID of the newest signal that came, or that was there before any came; undefined
   * with a server that does not tell.
   */
  private newest: number | undefined;

  constructor(private readonly onMissed: () => void) {}

  /** The stream's address, which asks for the signals after the newest. */
  address(url: string): string {
    return this.newest === undefined ? url : `${url}?since=${this.newest}`;
  }

  /** The first message of a connection, and whether there was one before it. */
  greet(message: unknown, again: boolean): void {
    const { last_signal: last } = fields(message);
    const known = typeof last === "number" ? last : undefined;
    // A server that knows less, or does not tell, cannot go on where the last one ended.
    if (this.newest !== undefined && known !== undefined && known >= this.newest) return;
    this.newest = known;
    if (again) this.onMissed();
  }

  note(message: unknown): void {
    const { type, signal } = fields(message);
    // The server does not remember all that was asked for.
    if (type === "gap") this.onMissed();
    const { id } = fields(signal);
    if (type === "signal" && typeof id === "number" && this.newest !== undefined) this.newest = Math.max(this.newest, id);
  }
}

const fields = (value: unknown): Record<string, unknown> => (typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {});
