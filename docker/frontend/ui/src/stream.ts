// The price stream: one WebSocket that is opened again whenever it breaks, and that
// asks for what it missed.

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
  /** How long a stream that is back may take to show that it brings what was missed. */
  resumeMs?: number;
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
export function openStream({ url, onMessage, onConnection, onMissed, silenceMs = 15_000, settleMs = 10_000, resumeMs = 2_000 }: Options): Stream {
  let socket: WebSocket | undefined;
  let wanted: string[] = [];
  let attempt = 0;
  let answered = false;
  let unanswered = 0;
  let closed = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let settled: ReturnType<typeof setTimeout> | undefined;
  const numbers = new Numbers(onMissed, resumeMs);

  const ask = () => {
    if (socket?.readyState === 1) socket.send(JSON.stringify({ subscribe: wanted }));
  };

  const connect = () => {
    clearTimeout(retry);
    const current = new WebSocket(numbers.address(url));
    let greeted = false;
    socket = current;
    watch();
    current.onopen = () => {
      if (socket === current && wanted.length > 0) ask();
    };
    current.onmessage = (event) => {
      if (socket !== current) return;
      watch();
      let message: unknown;
      try {
        message = JSON.parse(String(event.data));
      } catch {
        // Not ours to show; the next frame may be fine.
      }
      if (!greeted) {
        greeted = true;
        settled = setTimeout(() => (attempt = 0), settleMs);
        if (answered) numbers.resume();
        answered = true;
        onConnection("live");
      }
      numbers.note(message);
      if (message !== undefined) onMessage(message);
    };
    current.onclose = (event) => {
      if (socket === current) again(askedToWait(event.code, event.reason));
    };
  };

  const again = (leaveAloneMs = 0) => {
    if (closed) return;
    for (const timer of [silence, retry, settled]) clearTimeout(timer);
    numbers.pause();
    socket = undefined;
    onConnection(answered ? "reconnecting" : ++unanswered < patience ? "connecting" : "silent");
    retry = setTimeout(connect, leaveAloneMs + backoff(attempt++, Math.random()));
  };

  // A connection cut without a word (a phone that changes networks) never closes
  // by itself, but it falls silent. So does one whose market has stopped: that one
  // answers when it is asked again.
  const watch = () => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      ask();
      silence = setTimeout(() => {
        const silent = socket;
        again();
        silent?.close();
      }, silenceMs);
    }, silenceMs);
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

  return {
    subscribe: (symbols) => {
      wanted = symbols;
      ask();
    },
    hurry,
    close: () => {
      closed = true;
      for (const timer of [silence, retry, settled]) clearTimeout(timer);
      numbers.pause();
      globalThis.removeEventListener?.("online", hurry);
      socket?.close();
    },
  };
}

/**
 * The numbers (seq) of messages. A stream that is opened again asks for those after
 * the last number that came in full; messages of one moment share a number, and the
 * connection may have ended amid them, so that is the one before the newest. The server
 * says in its greeting whether it goes on from there (resumed). One that does not say so
 * shows it by the first number that comes; one that has forgotten, or numbers nothing,
 * has left something out.
 */
class Numbers {
  private newest: number | undefined;
  private resuming = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly onMissed: () => void,
    private readonly patienceMs: number,
  ) {}

  /** The stream's address, which names the number to go on after. */
  address(url: string): string {
    if (this.newest === undefined) return url;
    const full = new URL(url);
    full.searchParams.set("since", String(this.newest - 1));
    return full.href;
  }

  /** The stream is back: either it goes on where it ended, or something is missing. */
  resume(): void {
    if (this.newest === undefined) return this.onMissed();
    this.resuming = true;
    this.timer = setTimeout(() => this.decide(false), this.patienceMs);
  }

  note(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const { type, seq, resumed } = message as { type?: unknown; seq?: unknown; resumed?: unknown };
    if (this.resuming && typeof resumed === "boolean") this.decide(resumed);
    // A greeting comes before what it announces.
    if (typeof seq !== "number" || type === "hello") return;
    if (this.resuming) this.decide(seq === this.newest);
    this.newest = Math.max(this.newest ?? seq, seq);
  }

  /** The connection ended: the next one has to show what it brings. */
  pause(): void {
    clearTimeout(this.timer);
    this.resuming = false;
  }

  private decide(complete: boolean): void {
    this.pause();
    if (complete) return;
    this.newest = undefined; // whatever comes next may be numbered anew
    this.onMissed();
  }
}
