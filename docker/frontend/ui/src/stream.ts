// The price stream: one WebSocket that is opened again whenever it breaks.

export type Connection = "connecting" | "live" | "reconnecting";

interface Options {
  url: string;
  onMessage: (message: unknown) => void;
  onConnection: (state: Connection) => void;
  /** How long the stream may be silent before it is asked for a sign, and again before it counts as broken. */
  silenceMs?: number;
}

export interface Stream {
  /** Asks for the prices of these symbols, now and after each reconnect; of the most traded ones if there are none. */
  subscribe: (symbols: string[]) => void;
  close: () => void;
}

/**
 * How long to wait before the given attempt (0 is the first): doubling from half a
 * second to half a minute, each shortened by up to half at random so that the
 * browsers cut off by one rollout do not all come back at once.
 */
export function backoff(attempt: number, random: number): number {
  const full = Math.min(30_000, 500 * 2 ** attempt);
  return full * (1 - random / 2);
}

/** Opens the stream and keeps it open until it is closed. */
export function openStream({ url, onMessage, onConnection, silenceMs = 15_000 }: Options): Stream {
  let socket: WebSocket | undefined;
  let wanted: string[] = [];
  let attempt = 0;
  let closed = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;

  const ask = () => {
    if (socket?.readyState === 1) socket.send(JSON.stringify({ subscribe: wanted }));
  };

  const connect = () => {
    clearTimeout(retry);
    const current = new WebSocket(url);
    socket = current;
    watch();
    current.onopen = () => {
      if (socket === current && wanted.length > 0) ask();
    };
    current.onmessage = (event) => {
      if (socket !== current) return;
      watch();
      attempt = 0;
      onConnection("live");
      let message: unknown;
      try {
        message = JSON.parse(String(event.data));
      } catch {
        return; // Not ours to show; the next frame may be fine.
      }
      onMessage(message);
    };
    current.onclose = () => {
      if (socket === current) again();
    };
  };

  const again = () => {
    if (closed) return;
    clearTimeout(silence);
    clearTimeout(retry);
    socket = undefined;
    onConnection("reconnecting");
    retry = setTimeout(connect, backoff(attempt++, Math.random()));
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

  const online = () => {
    if (socket === undefined) connect();
  };
  globalThis.addEventListener?.("online", online);
  onConnection("connecting");
  connect();

  return {
    subscribe: (symbols) => {
      wanted = symbols;
      ask();
    },
    close: () => {
      closed = true;
      clearTimeout(retry);
      clearTimeout(silence);
      globalThis.removeEventListener?.("online", online);
      socket?.close();
    },
  };
}
