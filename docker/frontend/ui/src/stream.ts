// The price stream: one WebSocket that is opened again whenever it breaks.

export type Connection = "connecting" | "live" | "reconnecting";

interface Options {
  url: string;
  onMessage: (message: unknown) => void;
  onConnection: (state: Connection) => void;
  /** How long the stream may be silent before it counts as broken. */
  silenceMs?: number;
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

/** Opens the stream and keeps it open; the result closes it for good. */
export function openStream({ url, onMessage, onConnection, silenceMs = 20_000 }: Options): () => void {
  let socket: WebSocket | undefined;
  let attempt = 0;
  let closed = false;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;

  const connect = () => {
    clearTimeout(retry);
    const current = new WebSocket(url);
    socket = current;
    watch();
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
  // by itself, but it falls silent.
  const watch = () => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      const silent = socket;
      again();
      silent?.close();
    }, silenceMs);
  };

  const online = () => {
    if (socket === undefined) connect();
  };
  globalThis.addEventListener?.("online", online);
  onConnection("connecting");
  connect();

  return () => {
    closed = true;
    clearTimeout(retry);
    clearTimeout(silence);
    globalThis.removeEventListener?.("online", online);
    socket?.close();
  };
}
