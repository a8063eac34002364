// Loading something for a page: states, polling, and again after a lost connection.
import { useEffect, useState } from "preact/hooks";
import { asApiError, type ApiError } from "./api";
import { epoch } from "./store";

export interface Resource<T> {
  /** The last good answer; kept while a newer one is loading or has failed. */
  data: T | undefined;
  error: ApiError | undefined;
  /** The API lacks this: what would show it is left out. */
  absent: boolean;
  reload: () => void;
}

/** How long until what failed is tried again where nothing polls, and what the API lacks. */
const retryMs = 15_000;
const absentMs = 60_000;

/**
 * Loads when the component appears, whenever key changes, and every pollMs if given;
 * what failed is tried again either way. A change of key drops the data, a failed poll
 * does not.
 */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, pollMs?: number): Resource<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: ApiError }>({ key });
  const [tries, setTries] = useState(0);
  const generation = epoch.value;

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async () => {
      let next = pollMs;
      try {
        const data = await load(abort.signal);
        if (!abort.signal.aborted) setState({ key, data });
      } catch (reason) {
        const error = asApiError(reason);
        next = error.kind === "absent" ? absentMs : Math.max(error.waitMs, pollMs ?? retryMs);
        if (!abort.signal.aborted) {
          setState((s) => ({ key, error, ...(s.key === key && s.data !== undefined && error.kind !== "absent" ? { data: s.data } : {}) }));
        }
      }
      // The pages of many readers should not ask at the same moment.
      if (next && !abort.signal.aborted) timer = setTimeout(() => void run(), next * (0.9 + Math.random() / 5));
    };
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, tries, generation, pollMs]);

  const current = state.key === key ? state : undefined;
  return {
    data: current?.data,
    error: current?.error,
    absent: current?.error?.kind === "absent",
    reload: () => {
      // The rows that load again say that the button did something.
      setState((s) => (s.key === key && s.data === undefined ? { key } : s));
      setTries((n) => n + 1);
    },
  };
}
